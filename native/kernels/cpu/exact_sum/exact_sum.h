#pragma once

// Sums that do not depend on the order or grouping of their terms.
//
// Each row of an operator has a grid, the multiples of 2^exponent. A term is rounded to it, to
// nearest even, and counted in steps of the grid by a double that holds an integer. Integers up to
// 2^53 add exactly: a row gets the same bits whichever shards its terms come from, and is rounded
// once more, to f32, at the end. Larger sums are rounded as doubles are. A NaN or an infinity makes
// the sum one too.
//
// What comes after the sum reads the residual stream through norms, which divide by
// sqrt(mean(x^2) + epsilon): errors far below that scale change nothing there. So the grid lies a
// fixed number of bits below the scale of the row that the sum is added to, and depends on nothing
// else.

#include <cstdint>

#include "conclave/base/partial_type.h"
#include "kernels/cpu/matmul/matmul.h"

namespace conclave {

// Bits from the scale of a row down to its grid. bf16 and int8 weights, and dispatched rows in
// bf16, err by 2^-9 of what they compute; f32 by 2^-24 of a residual element, and the grid is
// finer.
constexpr int GridBits(WeightsFormat format) { return format == WeightsFormat::kF32 ? 28 : 20; }

// What exponents may come from outside.
constexpr int32_t kMinGrid = -160;
constexpr int32_t kMaxGrid = 160;

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
