#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "conclave/sampling/token_mask.h"

namespace conclave::binding {

// A TokenFilter, or a mask that was made elsewhere: Uint32Array.
std::shared_ptr<TokenMask> ReadTokenMask(Napi::Value value, const std::string& path);

}  // namespace conclave::binding
