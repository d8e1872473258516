#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "conclave/base/number_formats.h"

namespace conclave {

// Encoding of activations that cross the boundary; see ActivationType in native.ts.
enum class ActivationType { kF32, kBF16 };

inline size_t ActivationBytes(ActivationType type) { return type == ActivationType::kF32 ? 4 : 2; }

// `bytes` may be unaligned.
inline void DecodeActivations(ActivationType type, const uint8_t* bytes, int64_t count,
                              float* output) {
  if (type == ActivationType::kF32) {
    std::memcpy(output, bytes, static_cast<size_t>(count) * 4);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, 2);
    output[i] = Bf16ToFloat(bits);
  }
}

inline void EncodeActivations(ActivationType type, const float* input, int64_t count,
                              uint8_t* bytes) {
  if (type == ActivationType::kF32) {
    std::memcpy(bytes, input, static_cast<size_t>(count) * 4);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const uint16_t bits = FloatToBf16(input[i]);
    std::memcpy(bytes + 2 * i, &bits, 2);
  }
}

// Whether the magnitude of every element, as an integer, is below that of infinity.
template <typename Bits>
bool AllBelow(Bits infinity, const uint8_t* bytes, int64_t count) {
  constexpr Bits kMagnitude = std::numeric_limits<Bits>::max();
  Bits largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, bytes + i * static_cast<int64_t>(sizeof(Bits)), sizeof(Bits));
    largest = std::max(largest, static_cast<Bits>(bits & kMagnitude));
  }
  return largest < infinity;
}

// Whether no element is NaN or infinite. `bytes` may be unaligned.
inline bool AllFinite(ActivationType type, const uint8_t* bytes, int64_t count) {
  return type == ActivationType::kF32 ? AllBelow<int32_t>(0x7F800000, bytes, count)
                                      : AllBelow<int16_t>(0x7F80, bytes, count);
}

}  // namespace conclave
