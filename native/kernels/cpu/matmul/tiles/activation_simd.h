#pragma once

// Encodings of activations, and what happens between the matmuls of a feed-forward network, over
// the `Simd` of the including file. Everything has internal linkage.

#include <cstdint>
#include <cstring>

#include "kernels/cpu/matmul/tile.h"

namespace conclave {
namespace {

[[maybe_unused]] void EncodeF32(const float* x, int64_t first, int64_t count, int64_t /*cols*/,
                                uint8_t* row) {
  std::memcpy(row + first * 4, x, static_cast<size_t>(count) * 4);
}

// Group by group: scale = max|x| / 127, values to nearest even. A group with a NaN or an infinity
// has the scale NaN.
void EncodeQ8(const float* x, int64_t first, int64_t count, int64_t cols, uint8_t* row) {
  constexpr int kVectors = kColumnGroup / Simd::kLanes;
  auto* scales = reinterpret_cast<float*>(row + cols);
  auto* offsets = reinterpret_cast<int32_t*>(scales + cols / kColumnGroup);
  for (int64_t begin = 0; begin < count; begin += kColumnGroup) {
    Simd::Float values[kVectors];
    for (int i = 0; i < kVectors; ++i) values[i] = Simd::Load(x + begin + i * Simd::kLanes);
    Simd::Int largest_bits = Simd::MagnitudeBits(values[0]);
    for (int i = 1; i < kVectors; ++i)
      largest_bits = Simd::Max(largest_bits, Simd::MagnitudeBits(values[i]));
    const int32_t bits = Simd::Maximum(largest_bits);  // as integers, a NaN is the largest
    float largest;
    std::memcpy(&largest, &bits, 4);
    const bool finite = bits < 0x7f800000;
    const bool usable = finite && largest >= kSmallestQ8;
    const Simd::Float inverse = Simd::Broadcast(usable ? 127 / largest : 0);
    Simd::Int rounded[kVectors];
    for (int i = 0; i < kVectors; ++i)
      rounded[i] = usable ? Simd::ToNearest(values[i] * inverse) : Simd::ZeroInt();
    const int64_t group = (first + begin) / kColumnGroup;
    const int32_t sum = Simd::StoreInt8(rounded, reinterpret_cast<int8_t*>(row) + first + begin);
    scales[group] = usable ? largest / 127 : finite ? 0 : __builtin_nanf("");
    offsets[group] = -128 * sum;
  }
}

// exp(x) = 2^n exp(r), |r| <= ln(2) / 2, by a Taylor polynomial of degree 7: relative error below
// 2^-23. x is clamped to where both n and the result fit the exponent.
inline Simd::Float Exp(Simd::Float x) {
  x = Simd::Min(Simd::Max(x, Simd::Broadcast(-87.0f)), Simd::Broadcast(88.0f));
  const Simd::Float n = Simd::Round(x * Simd::Broadcast(1.44269504f));
  Simd::Float r = Simd::Fma(n, Simd::Broadcast(-0.693359375f), x);
  r = Simd::Fma(n, Simd::Broadcast(2.12194440e-4f), r);
  Simd::Float y = Simd::Broadcast(1.0f / 5040);
  for (float coefficient : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) {
    y = Simd::Fma(y, r, Simd::Broadcast(coefficient));
  }
  return Simd::TimesPowerOfTwo(y, n);
}

// gate[i] = activated(gate[i], up[i]).
template <typename Activated>
inline __attribute__((always_inline)) void ActivateEach(const float* up, int64_t count, float* gate,
                                                        const Activated& activated) {
  for (int64_t i = 0; i < count; i += Simd::kLanes)
    Simd::Store(gate + i, activated(Simd::Load(gate + i), Simd::Load(up + i)));
}

// x * sigmoid(slope x).
inline Simd::Float Swish(Simd::Float x, float slope) {
  return x / (Simd::Broadcast(1) + Exp(x * Simd::Broadcast(-slope)));
}

void Activate(const ActivationParams& params, const float* up, int64_t count, float* gate) {
  using Float = Simd::Float;
  // As first operands they let a NaN through.
  const Float high = Simd::Broadcast(params.limit);
  const Float low = Simd::Broadcast(-params.limit);
  switch (params.function) {
    case Activation::kSilu:
      return ActivateEach(up, count, gate, [](Float g, Float u) { return Swish(g, 1) * u; });
    case Activation::kGeluTanh:
      // 1.5957691 = 2 sqrt(2 / pi)
      return ActivateEach(up, count, gate, [](Float g, Float u) {
        const Float cubed = Simd::Fma(g * g * g, Simd::Broadcast(0.044715f), g);
        return g / (Simd::Broadcast(1) + Exp(cubed * Simd::Broadcast(-1.59576912f))) * u;
      });
    case Activation::kClampedSwiglu:
      return ActivateEach(up, count, gate, [&](Float g, Float u) {
        const Float clamped = Simd::Min(high, Simd::Max(low, u));
        return Swish(Simd::Min(high, g), 1.702f) * (clamped + Simd::Broadcast(1));
      });
    case Activation::kClampedSilu:
      return ActivateEach(up, count, gate, [&](Float g, Float u) {
        return Swish(Simd::Min(high, g), 1) * Simd::Min(high, Simd::Max(low, u));
      });
    case Activation::kReluSquared:
      return ActivateEach(up, count, gate, [](Float, Float u) {
        const Float positive = Simd::Max(Simd::Broadcast(0), u);
        return positive * positive;
      });
  }
}

}  // namespace
}  // namespace conclave
