#pragma once

#include <cstdint>

namespace conclave {

// The loops of exact_sum.h for one instruction set. Their results are the same in all of them.
struct ExactSumKernel {
  // Of the squares of x.
  double (*sum_of_squares)(const float* x, int64_t count);
  // totals[i] += round(weight * values[i] * steps); steps is a power of two.
  void (*add_term)(const float* values, float weight, double steps, int64_t count, double* totals);
  // output[i] += multiplier * f32(totals[i] * step); step is a power of two.
  void (*add_total)(const double* totals, double step, float multiplier, int64_t count,
                    float* output);
  // The upper half of the bits of the largest magnitude: ordered as magnitudes are, NaN above all.
  int32_t (*largest)(const double* totals, int64_t count);
  void (*encode_i24)(const double* totals, int64_t count, uint8_t* bytes);
  void (*encode_i32)(const double* totals, int64_t count, uint8_t* bytes);
  void (*add_i24)(const uint8_t* bytes, int64_t count, double* totals);
  void (*add_i32)(const uint8_t* bytes, int64_t count, double* totals);
};

extern const ExactSumKernel kExactSumPortable;
extern const ExactSumKernel kExactSumAvx2;
extern const ExactSumKernel kExactSumAvx512;

}  // namespace conclave
