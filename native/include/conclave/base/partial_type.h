#pragma once

#include <cstddef>
#include <cstdint>

#include "conclave/base/activation.h"

namespace conclave {

// Encoding of totals (see kernels/cpu/exact_sum/exact_sum.h) that cross the boundary; see
// PartialType in native.ts.
enum class PartialType { kI24, kI32, kF64 };

inline size_t PartialBytes(PartialType type) {
  return type == PartialType::kI24 ? 3 : type == PartialType::kI32 ? 4 : 8;
}

// Whether no total is NaN or infinite. `bytes` may be unaligned.
inline bool AllFinite(PartialType type, const uint8_t* bytes, int64_t count) {
  return type != PartialType::kF64 || AllBelow<int64_t>(0x7FF0000000000000, bytes, count);
}

}  // namespace conclave
