// LayerNorm: two passes over a row, sums in 16 partial sums that are then added in order, so that
// every machine gets the same bits.

#include <cmath>

#include "conclave/base/expect.h"
#include "kernels/cpu/ops.h"

namespace conclave {
namespace {

constexpr int64_t kLanes = 16;

// Sum over i of term(x[i]).
template <typename Term>
float SumOf(const float* x, int64_t count, const Term& term) {
  float sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += term(x[i + lane]);
  }
  for (int64_t lane = 0; i < count; ++i, ++lane) sums[lane] += term(x[i]);
  float sum = 0;
  for (const float part : sums) sum += part;
  return sum;
}

}  // namespace

void LayerNorm(const float* input, const float* weight, const float* bias, float epsilon,
               int64_t rows, int64_t width, float* output) {
  Expect(rows >= 0, "rows", "0 or more", rows);
  Expect(width >= 1, "width", "1 or more", width);
  for (int64_t row = 0; row < rows; ++row) {
    const float* const x = input + row * width;
    float* const y = output + row * width;
    const auto count = static_cast<float>(width);
    const float mean = SumOf(x, width, [](float v) { return v; }) / count;
    const float variance =
        SumOf(x, width, [&](float v) { return (v - mean) * (v - mean); }) / count;
    const float scale = 1 / std::sqrt(variance + epsilon);
    for (int64_t i = 0; i < width; ++i) y[i] = (x[i] - mean) * scale * weight[i];
    for (int64_t i = 0; bias != nullptr && i < width; ++i) y[i] += bias[i];
  }
}

}  // namespace conclave
