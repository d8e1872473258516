#pragma once

// What an instruction set provides to the matmul: conversion of activations, and the product of
// some rows of activations with one panel of weights. A panel is `panel_rows` rows of W,
// interleaved so that each lane of a vector register sums one output element in ascending order of
// columns: no sum across lanes, and the same order in tiles of any height.
//
// Panels are drawn in panels.h. Rows of activations, with K = padded columns:
//   kF32         [K] f32
//   kBF16        [K] bf16
//   kRounded     [K] f32, rounded to bf16
//   kQ8          [K] int8, then [K / 32] f32 scales, then [K / 32] int32: -128 times the sum of the
//   group

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/matmul/matmul.h"
#include "kernels/cpu/matmul/panels.h"

namespace conclave {

// Columns are padded with zeros to a multiple of this, which is also the size of a group of kQ8.
inline constexpr int64_t kColumnGroup = 32;

// A group of smaller magnitudes becomes zeros: the inverse of its scale could overflow.
inline constexpr float kSmallestQ8 = 1e-30f;

enum class ActivationEncoding { kF32, kBF16, kQ8, kRounded };
inline constexpr int kActivationEncodings = 4;

struct TileArgs {
  const uint8_t* panel;
  const uint8_t* next_panel;  // read after this one by the same thread; or null
  int64_t cols;               // K
  const uint8_t* activations;
  int64_t activation_stride;  // bytes
  int64_t rows;
  float* output;          // [rows][R]
  int64_t output_stride;  // elements
  // Room for sums between blocks of columns, [rows][R]; may be the output. Dense, it stays in the
  // caches.
  float* partial;
  int64_t partial_stride;
};

// Encodes x, elements [first, first + count) of a row of `cols`; first and count are multiples of
// kColumnGroup.
using EncodeRows = void (*)(const float* x, int64_t first, int64_t count, int64_t cols,
                            uint8_t* row);

struct TileKernel {
  const PanelEncoding* weights;
  ActivationEncoding activations;
  void (*multiply)(const TileArgs& args);
};

// Formats of packed weights: for each, an instruction set has a row that says how its panels are
// packed and multiplied.
enum class TileFormat {
  kF32,
  kF16,
  kBf16Exact,  // activations stay in f32
  kBf16,
  kQ8,
  kQ4,
  kQ4Zeros,
  kQ4E2M1,
};
inline constexpr int kTileFormats = 8;

// What a checkpoint's tensor is packed as.
inline TileFormat TileFormatOf(const MatrixSource& source, WeightsFormat format) {
  constexpr TileFormat kExact[] = {TileFormat::kF32, TileFormat::kF16, TileFormat::kBf16Exact};
  switch (format) {
    case WeightsFormat::kF32:
      return kExact[static_cast<size_t>(source.type())];
    case WeightsFormat::kBF16:
      return TileFormat::kBf16;
    case WeightsFormat::kQ8:
      return TileFormat::kQ8;
    case WeightsFormat::kQ4:
      return source.codes() == CodeKind::kWide    ? TileFormat::kQ8
             : source.codes() == CodeKind::kZeros ? TileFormat::kQ4Zeros
             : source.codes() == CodeKind::kE2M1  ? TileFormat::kQ4E2M1
                                                  : TileFormat::kQ4;
  }
  return TileFormat::kF32;
}

struct TileKernels {
  Isa isa;
  int panel_rows;
  TileKernel formats[kTileFormats];         // by TileFormat
  EncodeRows encode[kActivationEncodings];  // null where no kernel above reads the encoding
  // gate[i] = act(gate[i], up[i]); count is a multiple of kColumnGroup.
  void (*activate)(const ActivationParams& params, const float* up, int64_t count, float* gate);
};

const TileKernels& PortableTiles();
// Rounds activations as the tiles that multiply bf16 pairs do: shows on any CPU what that changes.
const TileKernels& PortableBf16Tiles();
const TileKernels& Avx2Tiles();
const TileKernels& Avx512Tiles();
// Replacements in Avx512Tiles where the CPU has these extensions.
void UseAvx512Vnni(TileKernels& tiles);
TileKernel Avx512Bf16Tile();
EncodeRows Avx512Bf16Encoder();

}  // namespace conclave
