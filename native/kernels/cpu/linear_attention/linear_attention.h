#pragma once

#include "conclave/backend/weights.h"
#include "kernels/cpu/linear_attention/kernel.h"
#include "kernels/cpu/ops.h"

namespace conclave {

// Throws kUnsupported when this CPU lacks the instruction set.
void LinearAttendHead(Isa isa, const HeadRows& head);

}  // namespace conclave
