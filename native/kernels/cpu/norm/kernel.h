#pragma once

#include <cstdint>

namespace conclave {

// RmsNorm of ops.h, its arguments checked.
using RmsNormKernel = void(const float* input, const float* weight, float epsilon, int64_t rows,
                           int64_t width, int64_t stride, float* output);

RmsNormKernel RmsNormPortable;
RmsNormKernel RmsNormAvx2;
RmsNormKernel RmsNormAvx512;

}  // namespace conclave
