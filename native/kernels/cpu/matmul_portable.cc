// Tiles in plain C++ for any CPU. Arithmetic is f32 for all 16-bit formats, which is exact for
// their products.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "conclave/number_formats.h"
#include "kernels/cpu/matmul_tile.h"

namespace conclave {
namespace {

constexpr int kPanelRows = 16;
constexpr int kTileRows = 4;

const float* FloatRow(const TileArgs& args, int64_t row) {
  return reinterpret_cast<const float*>(args.activations + row * args.activation_stride);
}

// Reads [K][R] elements at column k, lane r.
struct F32Panel {
  static float Load(const uint8_t* panel, int64_t k, int r) {
    return reinterpret_cast<const float*>(panel)[k * kPanelRows + r];
  }
};
struct F16Panel {
  static float Load(const uint8_t* panel, int64_t k, int r) {
    return F16ToFloat(reinterpret_cast<const uint16_t*>(panel)[k * kPanelRows + r]);
  }
};
struct Bf16Panel {
  static float Load(const uint8_t* panel, int64_t k, int r) {
    return Bf16ToFloat(
        reinterpret_cast<const uint16_t*>(panel)[(k / 2 * kPanelRows + r) * 2 + k % 2]);
  }
};

template <typename Panel, int kRows>
void MultiplyTile(const TileArgs& args, int64_t row) {
  float sums[kRows][kPanelRows] = {};
  for (int64_t k = 0; k < args.cols; ++k) {
    float weights[kPanelRows];
    for (int r = 0; r < kPanelRows; ++r) weights[r] = Panel::Load(args.panel, k, r);
    for (int i = 0; i < kRows; ++i) {
      const float x = FloatRow(args, row + i)[k];
      for (int r = 0; r < kPanelRows; ++r) sums[i][r] += x * weights[r];
    }
  }
  for (int i = 0; i < kRows; ++i)
    std::copy_n(sums[i], kPanelRows, args.output + (row + i) * args.output_stride);
}

template <typename Panel>
void Multiply(const TileArgs& args) {
  int64_t row = 0;
  for (; row + kTileRows <= args.rows; row += kTileRows) MultiplyTile<Panel, kTileRows>(args, row);
  for (; row < args.rows; ++row) MultiplyTile<Panel, 1>(args, row);
}

void MultiplyQ8(const TileArgs& args) {
  const int64_t groups = args.cols / kColumnGroup;
  constexpr size_t kGroupBytes = kPanelRows * (kColumnGroup + sizeof(float));
  for (int64_t row = 0; row < args.rows; ++row) {
    const auto* x =
        reinterpret_cast<const int8_t*>(args.activations + row * args.activation_stride);
    const auto* x_scales = reinterpret_cast<const float*>(x + args.cols);
    float sums[kPanelRows] = {};
    for (int64_t group = 0; group < groups; ++group, x += kColumnGroup) {
      const auto* weights =
          reinterpret_cast<const int8_t*>(args.panel + static_cast<size_t>(group) * kGroupBytes);
      const auto* scales = reinterpret_cast<const float*>(weights + kPanelRows * kColumnGroup);
      int32_t dots[kPanelRows] = {};
      for (int i = 0; i < kColumnGroup; ++i) {
        for (int r = 0; r < kPanelRows; ++r)
          dots[r] += x[i] * weights[(i / 4 * kPanelRows + r) * 4 + i % 4];
      }
      for (int r = 0; r < kPanelRows; ++r) {
        sums[r] += static_cast<float>(dots[r]) * (x_scales[group] * scales[r]);
      }
    }
    std::copy_n(sums, kPanelRows, args.output + row * args.output_stride);
  }
}

void EncodeF32(const float* x, int64_t first, int64_t count, int64_t /*cols*/, uint8_t* row) {
  std::copy_n(x, count, reinterpret_cast<float*>(row) + first);
}

void EncodeQ8(const float* x, int64_t first, int64_t count, int64_t cols, uint8_t* row) {
  auto* values = reinterpret_cast<int8_t*>(row);
  auto* scales = reinterpret_cast<float*>(row + cols);
  auto* offsets = reinterpret_cast<int32_t*>(scales + cols / kColumnGroup);
  for (int64_t begin = 0; begin < count; begin += kColumnGroup) {
    // Compared as integers, so that a NaN counts as the largest.
    uint32_t largest_bits = 0;
    for (int i = 0; i < kColumnGroup; ++i) {
      largest_bits = std::max(largest_bits, std::bit_cast<uint32_t>(x[begin + i]) & 0x7fffffff);
    }
    const auto largest = std::bit_cast<float>(largest_bits);
    const bool finite = largest_bits < 0x7f800000;
    const bool usable = finite && largest >= kSmallestQ8;
    const float inverse = usable ? 127 / largest : 0;
    int32_t sum = 0;
    for (int i = 0; i < kColumnGroup; ++i) {
      const auto value = static_cast<int8_t>(usable ? std::lrintf(x[begin + i] * inverse) : 0);
      values[first + begin + i] = value;
      sum += value;
    }
    const int64_t group = (first + begin) / kColumnGroup;
    scales[group] = usable ? largest / 127 : finite ? 0 : std::numeric_limits<float>::quiet_NaN();
    offsets[group] = -128 * sum;
  }
}

void Activate(Activation activation, const float* up, int64_t count, float* gate) {
  switch (activation) {
    case Activation::kSilu:
      for (int64_t i = 0; i < count; ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
  }
}

}  // namespace

const TileKernels& PortableTiles() {
  static constexpr TileKernels kTiles = {
      .isa = Isa::kPortable,
      .panel_rows = kPanelRows,
      .f32 = {WeightEncoding::kF32, ActivationEncoding::kF32, Multiply<F32Panel>},
      .f16 = {WeightEncoding::kF16, ActivationEncoding::kF32, Multiply<F16Panel>},
      .bf16_exact = {WeightEncoding::kBF16, ActivationEncoding::kF32, Multiply<Bf16Panel>},
      .bf16 = {WeightEncoding::kBF16, ActivationEncoding::kF32, Multiply<Bf16Panel>},
      .q8 = {WeightEncoding::kQ8, ActivationEncoding::kQ8, MultiplyQ8},
      .encode = {EncodeF32, nullptr, EncodeQ8},
      .activate = Activate,
  };
  return kTiles;
}

}  // namespace conclave
