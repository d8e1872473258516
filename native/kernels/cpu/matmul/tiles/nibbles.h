#pragma once

// Tiles of 4-bit weights over the `Simd` of the including file, as in simd.h. A `Dot` adds products
// of unsigned bytes and signed ones: Add(sum, w, x) does so for four columns of each lane, and
// Widen(sum, total) adds the sum to 32-bit totals.

#include <cstdint>

#include "kernels/cpu/matmul/tiles/simd.h"

namespace conclave {
namespace {

// What codes stand for: numbers times kUnit. Bytes that go into the dots are above the numbers by
// kBias; a sum is widened every kSteps steps of eight columns.
struct SignedCodes {
  static constexpr int kBias = 8;
  static constexpr int kSteps = 4;
  static constexpr float kUnit = 1;
  static constexpr bool kZeros = false;
  static constexpr const uint8_t* kTable = nullptr;
};

struct CodesWithZeros {
  static constexpr int kBias = 0;
  static constexpr int kSteps = 4;
  static constexpr float kUnit = 1;
  static constexpr bool kZeros = true;
  static constexpr const uint8_t* kTable = nullptr;
};

// Doubled, to be whole numbers.
constexpr uint8_t kE2M1Bytes[] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

struct E2M1Codes {
  static constexpr int kBias = 12;
  static constexpr int kSteps = 2;
  static constexpr float kUnit = 0.5f;
  static constexpr bool kZeros = false;
  static constexpr const uint8_t* kTable = kE2M1Bytes;
};

// The bytes of columns 4 s + i (kHigh: and 16 more) of a step.
template <typename Dot, typename Codes, bool kHigh>
CONCLAVE_INLINE Simd::Int CodeBytes(Simd::Int codes) {
  const Simd::Int bytes = kHigh ? Dot::High(codes) : Dot::Low(codes);
  if constexpr (Codes::kTable == nullptr) {
    return bytes;
  } else {
    return Dot::Lookup(Codes::kTable, bytes);
  }
}

// sums[i] += (dot of the group) * (scale of x * scale of w), in ascending order of groups. With u
// the bytes, the dot is sum x u - bias sum x, or with zeros z: sum x u - z sum x, all exact.
template <typename Dot, typename Codes, int kRows, int64_t kPrefetchBytes>
void Q4Tile(const TileBlock& block) {
  constexpr int64_t kVector = Simd::kLanes * 4;  // bytes
  constexpr int64_t kScales = 2 * Simd::kLanes * kColumnGroup / 2;
  constexpr int64_t kHalves = 2 * Simd::kLanes * 2;
  constexpr int64_t kGroupBytes = kScales + (Codes::kZeros ? 2 : 1) * kHalves;
  const uint8_t* prefetch = block.prefetch;
  Sums<kRows> sums(block);
  const uint8_t* const scales = block.activations + block.cols + block.begin / kColumnGroup * 4;
  const int64_t to_offsets = block.cols / kColumnGroup * 4;
  RowPointers<kRows> x(block.activations + block.begin, block.activation_stride);
  RowPointers<kRows> x_scale(scales, block.activation_stride);
  const uint8_t* weights = block.weights;
  for (int64_t group = block.begin; group != block.end; group += kColumnGroup) {
    Prefetch<kPrefetchBytes>(prefetch, block.prefetch_step);
    Simd::Int dots[kRows][2];
    typename Dot::Sum part[kRows][2];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      dots[i][0] = dots[i][1] = Simd::ZeroInt();
      part[i][0] = part[i][1] = Dot::Zero();
    }
#pragma GCC unroll 4
    for (int step = 0; step < 4; ++step) {
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        const Simd::Int codes = Simd::LoadInt(weights + step * 2 * kVector + half * kVector);
        const Simd::Int low = CodeBytes<Dot, Codes, false>(codes);
        const Simd::Int high = CodeBytes<Dot, Codes, true>(codes);
#pragma GCC unroll 16
        for (int i = 0; i < kRows; ++i) {
          part[i][half] = Dot::Add(part[i][half], low, Simd::BroadcastInt(x[i] + step * 4));
          part[i][half] = Dot::Add(part[i][half], high, Simd::BroadcastInt(x[i] + step * 4 + 16));
          if ((step + 1) % Codes::kSteps != 0) continue;
          dots[i][half] = Dot::Widen(part[i][half], dots[i][half]);
          part[i][half] = Dot::Zero();
        }
      }
    }
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const uint8_t* const at = weights + kScales + half * Simd::kLanes * 2;
      const Simd::Float scale = Simd::LoadF16(at) * Simd::Broadcast(Codes::kUnit);
      // Activations come with -128 times their sum.
      Simd::Float zero = Simd::Broadcast(static_cast<float>(Codes::kBias) / 128);
      if constexpr (Codes::kZeros) zero = Simd::LoadF16(at + kHalves) * Simd::Broadcast(1.0f / 128);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const Simd::Float offset = Simd::ToFloat(Simd::BroadcastInt(x_scale[i] + to_offsets));
        const Simd::Float dot = Simd::Fma(offset, zero, Simd::ToFloat(dots[i][half]));
        const Simd::Float step = Simd::BroadcastFloat(x_scale[i]) * scale;
        sums.of[i][half] = Simd::Fma(dot, step, sums.of[i][half]);
      }
    }
    weights += kGroupBytes;
    x.Advance(kColumnGroup);
    x_scale.Advance(4);
  }
  sums.Store(block);
}

template <typename Dot, typename Codes, int kRows>
struct Q4Kind {
  static constexpr int kMostRows = kRows;
  static constexpr int64_t kBlockColumns = 1024;
  static constexpr int64_t kGroupBytes =
      2 * Simd::kLanes * (kColumnGroup / 2 + (Codes::kZeros ? 4 : 2));
  static constexpr int64_t kScratchBytes = 1;
  template <int kTileRows>
  static constexpr TileFunction kStream = Q4Tile<Dot, Codes, kTileRows, kGroupBytes>;
  template <int kTileRows>
  static constexpr TileFunction kTile = Q4Tile<Dot, Codes, kTileRows, kGroupBytes / 2>;

  static const uint8_t* Prepare(const uint8_t* weights, int64_t /*cols*/, uint8_t* /*scratch*/) {
    return weights;
  }
};

}  // namespace
}  // namespace conclave
