#pragma once

// RmsNorm over the `Simd` of the including file. Squares are added in 4 vectors of partial sums,
// then those in order.

#include <cstdint>

#include "kernels/cpu/norm/kernel.h"

namespace conclave {
namespace {

void RmsNormRows(const float* input, const float* weight, float epsilon, int64_t rows,
                 int64_t width, int64_t stride, float* output) {
  constexpr int64_t kWidth = Simd::kLanes;
  for (int64_t row = 0; row < rows; ++row) {
    const float* x = input + row * stride;
    float* y = output + row * stride;
    Simd::Float sums[4] = {Simd::Zero(), Simd::Zero(), Simd::Zero(), Simd::Zero()};
    int64_t i = 0;
    for (; i + 4 * kWidth <= width; i += 4 * kWidth) {
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const Simd::Float v = Simd::Load(x + i + j * kWidth);
        sums[j] = Simd::Fma(v, v, sums[j]);
      }
    }
    float sum = Simd::Sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
    for (; i < width; ++i) sum += x[i] * x[i];
    const float scale = 1.0f / __builtin_sqrtf(sum / static_cast<float>(width) + epsilon);
    const Simd::Float scales = Simd::Broadcast(scale);
    for (i = 0; i + kWidth <= width; i += kWidth) {
      Simd::Store(y + i, Simd::Load(x + i) * scales * Simd::Load(weight + i));
    }
    for (; i < width; ++i) y[i] = x[i] * scale * weight[i];
  }
}

}  // namespace
}  // namespace conclave
