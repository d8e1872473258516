#pragma once

// Encodings of activations, and what happens between the matmuls of a feed-forward network, over a
// vector type V; see matmul_simd.h. Everything has internal linkage.

#include <cstdint>
#include <cstring>

#include "kernels/cpu/matmul_tile.h"

namespace conclave {
namespace {

[[maybe_unused]] void EncodeF32(const float* x, int64_t first, int64_t count, int64_t /*cols*/,
                                uint8_t* row) {
  std::memcpy(row + first * 4, x, static_cast<size_t>(count) * 4);
}

template <typename V>
void EncodeRounded(const float* x, int64_t first, int64_t count, int64_t /*cols*/, uint8_t* row) {
  auto* out = reinterpret_cast<float*>(row) + first;
  for (int64_t i = 0; i < count; i += V::kLanes)
    V::Store(out + i, V::RoundToBf16(V::LoadF32(x + i)));
}

// Group by group: scale = max|x| / 127, values to nearest even. A group with a NaN or an infinity
// has the scale NaN.
template <typename V>
void EncodeQ8(const float* x, int64_t first, int64_t count, int64_t cols, uint8_t* row) {
  constexpr int kVectors = kColumnGroup / V::kLanes;
  auto* scales = reinterpret_cast<float*>(row + cols);
  auto* offsets = reinterpret_cast<int32_t*>(scales + cols / kColumnGroup);
  for (int64_t begin = 0; begin < count; begin += kColumnGroup) {
    typename V::Float values[kVectors];
    for (int i = 0; i < kVectors; ++i) values[i] = V::LoadF32(x + begin + i * V::kLanes);
    typename V::Int largest_bits = V::MagnitudeBits(values[0]);
    for (int i = 1; i < kVectors; ++i)
      largest_bits = V::Max(largest_bits, V::MagnitudeBits(values[i]));
    const int32_t bits = V::HorizontalMax(largest_bits);  // as integers, a NaN is the largest
    float largest;
    std::memcpy(&largest, &bits, 4);
    const bool finite = bits < 0x7f800000;
    const bool usable = finite && largest >= kSmallestQ8;
    const typename V::Float inverse = V::Set(usable ? 127 / largest : 0);
    typename V::Int rounded[kVectors];
    for (int i = 0; i < kVectors; ++i)
      rounded[i] = usable ? V::ToNearest(V::Multiply(values[i], inverse)) : V::ZeroInt();
    const int64_t group = (first + begin) / kColumnGroup;
    const int32_t sum = V::StoreInt8(rounded, reinterpret_cast<int8_t*>(row) + first + begin);
    scales[group] = usable ? largest / 127 : finite ? 0 : __builtin_nanf("");
    offsets[group] = -128 * sum;
  }
}

// exp(x) = 2^n exp(r), |r| <= ln(2) / 2, by a Taylor polynomial of degree 7: relative error below
// 2^-23. x is clamped to where both n and the result fit the exponent.
template <typename V>
inline typename V::Float Exp(typename V::Float x) {
  x = V::Min(V::Max(x, V::Set(-87.0f)), V::Set(88.0f));
  const typename V::Float n = V::Round(V::Multiply(x, V::Set(1.44269504f)));
  typename V::Float r = V::MultiplyAdd(n, V::Set(-0.693359375f), x);
  r = V::MultiplyAdd(n, V::Set(2.12194440e-4f), r);
  typename V::Float y = V::Set(1.0f / 5040);
  for (float coefficient : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) {
    y = V::MultiplyAdd(y, r, V::Set(coefficient));
  }
  return V::TimesPowerOfTwo(y, n);
}

template <typename V>
void Activate(Activation activation, const float* up, int64_t count, float* gate) {
  switch (activation) {
    case Activation::kSilu:
      for (int64_t i = 0; i < count; i += V::kLanes) {
        const typename V::Float x = V::LoadF32(gate + i);
        const typename V::Float denominator = V::Add(V::Set(1), Exp<V>(V::Multiply(x, V::Set(-1))));
        V::Store(gate + i, V::Multiply(V::Divide(x, denominator), V::LoadF32(up + i)));
      }
  }
}

}  // namespace
}  // namespace conclave
