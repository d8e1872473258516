#include "kernels/cpu/matmul/panels.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "conclave/base/error.h"
#include "conclave/base/number_formats.h"
#include "kernels/cpu/matmul/tile.h"

namespace conclave {
namespace {

template <int kElementBytes>
size_t ElementPanelBytes(int64_t cols, int panel_rows) {
  return static_cast<size_t>(cols) * static_cast<size_t>(panel_rows) * kElementBytes;
}

size_t Q8PanelBytes(int64_t cols, int panel_rows) {
  const size_t elements = static_cast<size_t>(cols) * static_cast<size_t>(panel_rows);
  return elements + elements / kColumnGroup * sizeof(float);
}

void ReadFloats(const TileKernels&, MatrixSource& source, int64_t row, int64_t, float*,
                uint8_t* output) {
  source.Floats(row, reinterpret_cast<float*>(output));
}

void ReadRaw(const TileKernels&, MatrixSource& source, int64_t row, int64_t, float*,
             uint8_t* output) {
  source.Raw(row, output);
}

void ReadBf16(const TileKernels&, MatrixSource& source, int64_t row, int64_t, float*,
              uint8_t* output) {
  source.Bf16(row, reinterpret_cast<uint16_t*>(output));
}

// Weights are quantised as activations are.
void ReadQ8(const TileKernels& tiles, MatrixSource& source, int64_t row, int64_t cols, float* wide,
            uint8_t* output) {
  source.Floats(row, wide);
  tiles.encode[static_cast<size_t>(ActivationEncoding::kQ8)](wide, 0, cols, cols, output);
}

// rows [panel_rows][cols / kPerUnit] of units to [cols / kPerUnit][panel_rows]. Goes by blocks of
// units, so that the lines written stay in the L1 cache until they are full.
template <typename Unit, int kPerUnit>
void Interleave(const uint8_t* rows, int64_t row_bytes, int64_t cols, int panel_rows,
                uint8_t* panel) {
  constexpr int64_t kBlock = 64;
  const int64_t count = cols / kPerUnit;
  auto* const units = reinterpret_cast<Unit*>(panel);
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, count);
    for (int row = 0; row < panel_rows; ++row) {
      const auto* in = reinterpret_cast<const Unit*>(rows + row * row_bytes);
      for (int64_t i = begin; i < end; ++i) units[i * panel_rows + row] = in[i];
    }
  }
}

template <uint32_t kFlip>
void InterleaveGroups(const uint8_t* rows, int64_t row_bytes, int64_t cols, int panel_rows,
                      uint8_t* panel) {
  constexpr int64_t kQuads = kColumnGroup / 4;
  auto* out = reinterpret_cast<uint32_t*>(panel);
  for (int64_t group = 0; group < cols / kColumnGroup; ++group, out += (kQuads + 1) * panel_rows) {
    for (int row = 0; row < panel_rows; ++row) {
      const uint8_t* const encoded = rows + row * row_bytes;
      const auto* const quads = reinterpret_cast<const uint32_t*>(encoded) + group * kQuads;
      for (int64_t i = 0; i < kQuads; ++i) out[i * panel_rows + row] = quads[i] ^ kFlip;
      out[kQuads * panel_rows + row] = reinterpret_cast<const uint32_t*>(encoded + cols)[group];
    }
  }
}

// Elements of f16 behind the codes of a group.
template <int kHalves>
size_t Q4PanelBytes(int64_t cols, int panel_rows) {
  const auto groups = static_cast<size_t>(cols / kColumnGroup);
  const size_t bytes =
      groups * static_cast<size_t>(panel_rows) * (kColumnGroup / 2 + kHalves * sizeof(uint16_t));
  return (bytes + 63) / 64 * 64;
}

uint16_t HalfScale(float scale, int64_t row) {
  const uint16_t half = FloatToF16(scale);
  if (std::isfinite(F16ToFloat(half))) return half;
  throw Error(ErrorCode::kNonFinite,
              "weights: a scale of row " + std::to_string(row) +
                  " is beyond the range of f16, in which q4 keeps scales; use --weights q8");
}

// The element of largest magnitude becomes code 0, which stands for -8.
void QuantiseQ4(const float* x, uint8_t* codes, uint16_t* scale, int64_t row) {
  float largest = 0;
  for (int64_t i = 0; i < kColumnGroup; ++i)
    if (std::abs(x[i]) > std::abs(largest)) largest = x[i];
  *scale = HalfScale(largest / -8, row);
  const float step = F16ToFloat(*scale);
  for (int64_t i = 0; i < kColumnGroup; ++i) {
    const float code = step == 0 ? 8 : std::nearbyint(x[i] / step) + 8;
    codes[i] = static_cast<uint8_t>(std::clamp(code, 0.0f, 15.0f));
  }
}

// A row as [K] codes, [K / 32] f16 scales, and as many zeros.
void ReadQ4(const TileKernels&, MatrixSource& source, int64_t row, int64_t cols, float* wide,
            uint8_t* output) {
  const int64_t groups = cols / kColumnGroup;
  auto* const scales = reinterpret_cast<uint16_t*>(output + cols);
  if (source.codes() == CodeKind::kNone) {
    source.Floats(row, wide);
    for (int64_t group = 0; group < groups; ++group) {
      const int64_t first = group * kColumnGroup;
      QuantiseQ4(wide + first, output + first, scales + group, row);
    }
    return;
  }
  const auto count = static_cast<size_t>(groups);
  std::vector<float> found(2 * count);
  source.Codes(row, output, found.data(), found.data() + count);
  for (size_t group = 0; group < count; ++group) {
    scales[group] = HalfScale(found[group], row);
    scales[count + group] = FloatToF16(found[count + group]);
  }
}

template <int kHalves>
void InterleaveQ4(const uint8_t* rows, int64_t row_bytes, int64_t cols, int panel_rows,
                  uint8_t* panel) {
  const int64_t groups = cols / kColumnGroup;
  const int64_t group_bytes = panel_rows * (kColumnGroup / 2 + kHalves * 2);
  for (int64_t group = 0; group < groups; ++group, panel += group_bytes) {
    auto* const halves = reinterpret_cast<uint16_t*>(panel + panel_rows * kColumnGroup / 2);
    for (int row = 0; row < panel_rows; ++row) {
      const uint8_t* const encoded = rows + row * row_bytes;
      const uint8_t* const codes = encoded + group * kColumnGroup;
      for (int64_t i = 0; i < kColumnGroup / 2; ++i) {
        panel[(i / 4 * panel_rows + row) * 4 + i % 4] =
            static_cast<uint8_t>(codes[i] | codes[i + kColumnGroup / 2] << 4);
      }
      const auto* const scales = reinterpret_cast<const uint16_t*>(encoded + cols);
      for (int half = 0; half < kHalves; ++half)
        halves[half * panel_rows + row] = scales[half * groups + group];
    }
  }
}

}  // namespace

const PanelEncoding kF32Panels = {ElementPanelBytes<4>, ReadFloats, Interleave<uint32_t, 1>};
const PanelEncoding kF16Panels = {ElementPanelBytes<2>, ReadRaw, Interleave<uint16_t, 1>};
const PanelEncoding kBf16Panels = {ElementPanelBytes<2>, ReadBf16, Interleave<uint32_t, 2>};
const PanelEncoding kQ8Panels = {Q8PanelBytes, ReadQ8, InterleaveGroups<0>};
const PanelEncoding kQ8OffsetPanels = {Q8PanelBytes, ReadQ8, InterleaveGroups<0x80808080>};
const PanelEncoding kQ4Panels = {Q4PanelBytes<1>, ReadQ4, InterleaveQ4<1>};
const PanelEncoding kQ4ZerosPanels = {Q4PanelBytes<2>, ReadQ4, InterleaveQ4<2>};

}  // namespace conclave
