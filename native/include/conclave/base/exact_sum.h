#pragma once

// Sums that do not depend on the order or grouping of their terms.
//
// Each row of an operator has a grid, the multiples of 2^exponent. A term is rounded to it, to
// nearest even, and counted in steps of the grid by a double that holds an integer. Integers up to
// 2^53 add exactly: a row gets the same bits whichever shards its terms come from, and is rounded
// once more, to f32, at the end. Larger sums are rounded as doubles are. A NaN or an infinity makes
// the sum one too.
//
// What comes after the sum, but for a norm of the sum alone, reads the residual stream through
// norms, which divide by sqrt(mean(x^2) + epsilon): errors far below that scale change nothing
// there. So the grid lies a fixed number of bits below the scale of the row that the sum is added
// to, and depends on nothing else:
//
//   exponent[r] = floor(log2(sqrt(mean(x[r]^2) + epsilon))) - bits

#include <cstddef>
#include <cstdint>
#include <vector>

#include "conclave/base/activation.h"
#include "conclave/base/element_types.h"

namespace conclave {

// Bits from the scale of a row down to its grid. bf16 and int8 weights, and dispatched rows in
// bf16, err by 2^-9 of what they compute; f32 by 2^-24 of a residual element, and the grid is
// finer.
constexpr int GridBits(WeightsFormat format) { return format == WeightsFormat::kF32 ? 28 : 20; }

// The same where a norm follows the sum: that divides by the scale of the sum itself, which may be
// far below that of the row.
constexpr int kPostNormGridBits = 40;

// What exponents may come from outside.
constexpr int32_t kMinGrid = -160;
constexpr int32_t kMaxGrid = 160;

// Encoding of totals that cross the boundary; see PartialType in native.ts.
enum class PartialType { kI24, kI32, kF64 };

constexpr size_t PartialBytes(PartialType type) {
  return type == PartialType::kI24 ? 3 : type == PartialType::kI32 ? 4 : 8;
}

// EncodedTotals in native.ts.
struct EncodedTotals {
  PartialType type = PartialType::kI32;
  std::vector<uint8_t> partial;
};

// Whether no total is NaN or infinite.
inline bool AllFinite(PartialType type, const uint8_t* bytes, int64_t count) {
  return type != PartialType::kF64 || AllBelow<int64_t>(0x7FF0000000000000, bytes, count);
}

}  // namespace conclave
