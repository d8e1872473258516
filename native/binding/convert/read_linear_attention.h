#pragma once

#include "binding/convert/read.h"
#include "conclave/model/spec.h"

namespace conclave::binding {

LinearAttentionSpec ReadLinearAttention(const Fields& fields);

}  // namespace conclave::binding
