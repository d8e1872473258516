#pragma once

#include <napi.h>

#include <string>

#include "conclave/model/spec.h"

namespace conclave::binding {

// OperatorSpec of model.proto. What the engine does not execute is UNSUPPORTED, by name.
OperatorSpec ReadOperator(Napi::Value value, const std::string& path);

}  // namespace conclave::binding
