#pragma once

// Tiles over a vector type V. Each instruction set's file defines V, includes this and instantiates
// it; everything has internal linkage, so that no code of one instruction set is linked into
// another's.
//
// V has: Float, Int (32-bit lanes of equal number), kLanes, and the functions used below. A panel
// is two vectors wide.

#include <cstdint>
#include <cstring>

#include "kernels/cpu/matmul_tile.h"

namespace conclave {
namespace {

#define CONCLAVE_INLINE __attribute__((always_inline)) inline

// Weights of two columns, as f32: even column lanes 0 and 1, odd column lanes 0 and 1.
template <typename V>
struct F32Columns {
  static constexpr int64_t kPairBytes = V::kLanes * 16;
  static CONCLAVE_INLINE void Load(const uint8_t* pair, typename V::Float w[4]) {
    for (int i = 0; i < 4; ++i) w[i] = V::LoadF32(pair + i * V::kLanes * 4);
  }
};

template <typename V>
struct F16Columns {
  static constexpr int64_t kPairBytes = V::kLanes * 8;
  static CONCLAVE_INLINE void Load(const uint8_t* pair, typename V::Float w[4]) {
    for (int i = 0; i < 4; ++i) w[i] = V::LoadF16(pair + i * V::kLanes * 2);
  }
};

template <typename V>
struct Bf16Columns {
  static constexpr int64_t kPairBytes = V::kLanes * 8;
  static CONCLAVE_INLINE void Load(const uint8_t* pair, typename V::Float w[4]) {
    for (int i = 0; i < 2; ++i) {
      const typename V::Int both = V::LoadInt(pair + i * V::kLanes * 4);
      w[i] = V::LowBf16(both);
      w[2 + i] = V::HighBf16(both);
    }
  }
};

// Rows of activations at one column. Three rows share a pointer, to fit the registers.
template <int kRows>
struct RowPointers {
  static constexpr int kBases = (kRows + 2) / 3;
  const uint8_t* base[kBases];
  int64_t stride;

  CONCLAVE_INLINE RowPointers(const uint8_t* first, int64_t row_stride) : stride(row_stride) {
    for (int i = 0; i < kBases; ++i) base[i] = first + i * 3 * row_stride;
  }
  CONCLAVE_INLINE const uint8_t* operator[](int row) const {
    return base[row / 3] + row % 3 * stride;
  }
  CONCLAVE_INLINE void Advance(int64_t bytes) {
    for (int i = 0; i < kBases; ++i) base[i] += bytes;
  }
};

// sums[i] += x[i][k] * w[k] in f32, in ascending order of k.
template <typename V, typename Columns, int kRows>
void FloatTile(const TileArgs& args, int64_t row) {
  typename V::Float sums[kRows][2];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) sums[i][0] = sums[i][1] = V::Zero();
  RowPointers<kRows> x(args.activations + row * args.activation_stride, args.activation_stride);
  const uint8_t* pair = args.panel;
  const uint8_t* const end = pair + args.cols / 2 * Columns::kPairBytes;
  while (pair != end) {
#pragma GCC unroll 2
    for (int step = 0; step < 2; ++step) {
      typename V::Float w[4];
      Columns::Load(pair + step * Columns::kPairBytes, w);
#pragma GCC unroll 2
      for (int odd = 0; odd < 2; ++odd) {
#pragma GCC unroll 16
        for (int i = 0; i < kRows; ++i) {
          const typename V::Float value = V::Broadcast(x[i] + step * 8 + odd * 4);
          sums[i][0] = V::MultiplyAdd(value, w[odd * 2], sums[i][0]);
          sums[i][1] = V::MultiplyAdd(value, w[odd * 2 + 1], sums[i][1]);
        }
      }
    }
    pair += 2 * Columns::kPairBytes;
    x.Advance(16);
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    float* out = args.output + (row + i) * args.output_stride;
    V::Store(out, sums[i][0]);
    V::Store(out + V::kLanes, sums[i][1]);
  }
}

// Groups of int8: dots are exact, then sums[i] += dot * (scale of x * scale of w), in ascending
// order of groups.
template <typename V, typename Dot, int kRows>
void Q8Tile(const TileArgs& args, int64_t row) {
  constexpr int64_t kScales = 2 * V::kLanes * kColumnGroup;  // bytes of int8 in a group
  typename V::Float sums[kRows][2];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) sums[i][0] = sums[i][1] = V::Zero();
  const int64_t groups = args.cols / kColumnGroup;
  const uint8_t* const first = args.activations + row * args.activation_stride;
  RowPointers<kRows> x(first, args.activation_stride);
  RowPointers<kRows> x_scale(first + args.cols, args.activation_stride);
  const uint8_t* weights = args.panel;
  for (int64_t group = 0; group < groups; ++group) {
    typename V::Int dots[kRows][2];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) dots[i][0] = dots[i][1] = Dot::Start(x_scale[i] + groups * 4);
#pragma GCC unroll 8
    for (int step = 0; step < 8; ++step) {
      const typename Dot::Weights w0(V::LoadInt(weights + step * V::kLanes * 8));
      const typename Dot::Weights w1(V::LoadInt(weights + step * V::kLanes * 8 + V::kLanes * 4));
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const typename V::Int value = V::BroadcastInt(x[i] + step * 4);
        dots[i][0] = Dot::Add(dots[i][0], w0, value);
        dots[i][1] = Dot::Add(dots[i][1], w1, value);
      }
    }
    const typename V::Float s0 = V::LoadF32(weights + kScales);
    const typename V::Float s1 = V::LoadF32(weights + kScales + V::kLanes * 4);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const typename V::Float scale = V::Broadcast(x_scale[i]);
      sums[i][0] = V::MultiplyAdd(V::ToFloat(dots[i][0]), V::Multiply(scale, s0), sums[i][0]);
      sums[i][1] = V::MultiplyAdd(V::ToFloat(dots[i][1]), V::Multiply(scale, s1), sums[i][1]);
    }
    weights += kScales + V::kLanes * 8;
    x.Advance(kColumnGroup);
    x_scale.Advance(4);
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    float* out = args.output + (row + i) * args.output_stride;
    V::Store(out, sums[i][0]);
    V::Store(out + V::kLanes, sums[i][1]);
  }
}

using TileFunction = void (*)(const TileArgs& args, int64_t row);

// Tiles of 1 to kMost rows of a kind.
template <typename V, typename Columns>
struct FloatTiles {
  template <int kRows>
  static constexpr TileFunction kTile = FloatTile<V, Columns, kRows>;
};
template <typename V, typename Dot>
struct Q8Tiles {
  template <int kRows>
  static constexpr TileFunction kTile = Q8Tile<V, Dot, kRows>;
};

template <typename Tiles, int kMost>
struct TileTable {
  TileFunction of_rows[kMost + 1];

  template <int kRows>
  constexpr void Fill() {
    of_rows[kRows] = Tiles::template kTile<kRows>;
    if constexpr (kRows > 1) Fill<kRows - 1>();
  }
  constexpr TileTable() : of_rows{} { Fill<kMost>(); }
};

// Rows go through tiles of nearly equal height.
template <typename Tiles, int kMost>
void MultiplyByTiles(const TileArgs& args) {
  static constexpr TileTable<Tiles, kMost> kTable;
  int64_t tiles = (args.rows + kMost - 1) / kMost;
  for (int64_t row = 0; tiles > 0; --tiles) {
    const int64_t rows = (args.rows - row + tiles - 1) / tiles;
    kTable.of_rows[rows](args, row);
    row += rows;
  }
}

void EncodeF32(const float* x, int64_t first, int64_t count, int64_t /*cols*/, uint8_t* row) {
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
CONCLAVE_INLINE typename V::Float Exp(typename V::Float x) {
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
