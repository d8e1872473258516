#pragma once

// The loops of exact sums (see base/exact_sum.h) for each instruction set.

#include <cstdint>

#include "conclave/base/exact_sum.h"
#include "kernels/cpu/matmul/matmul.h"

namespace conclave {

// exponents[r] = floor(log2(sqrt(mean(x[r]^2) + epsilon))) - bits, of rows x [rows, width].
void FindGrid(Isa isa, const float* x, float epsilon, int bits, int64_t rows, int64_t width,
              int32_t* exponents);

// totals[i] += round(weight * values[i] / 2^exponent), where the product is rounded to f32.
void AddTerm(Isa isa, const float* values, float weight, int exponent, int64_t count,
             double* totals);

// output[i] += multiplier * f32(totals[i] * 2^exponent).
void AddTotal(Isa isa, const double* totals, int exponent, float multiplier, int64_t count,
              float* output);

// The narrowest type that holds all totals as they are.
PartialType NarrowestType(Isa isa, const double* totals, int64_t count);

// `bytes` may be unaligned. The type must hold the totals.
void EncodeTotals(Isa isa, PartialType type, const double* totals, int64_t count, uint8_t* bytes);

// totals[i] += the total that is encoded at i.
void AddEncoded(Isa isa, PartialType type, const uint8_t* bytes, int64_t count, double* totals);

}  // namespace conclave
