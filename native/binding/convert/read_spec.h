#pragma once

#include <napi.h>

#include <string>

#include "conclave/model/spec.h"

namespace conclave::binding {

// ModelSpec as @grpc/proto-loader decodes it: camelCase keys, enums by name, absent messages null.
ModelSpec ReadModelSpec(Napi::Value value, const std::string& path);

}  // namespace conclave::binding
