#include "kernels/cpu/matmul/panels.h"

#include <algorithm>

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

}  // namespace

const PanelEncoding kF32Panels = {ElementPanelBytes<4>, ReadFloats, Interleave<uint32_t, 1>};
const PanelEncoding kF16Panels = {ElementPanelBytes<2>, ReadRaw, Interleave<uint16_t, 1>};
const PanelEncoding kBf16Panels = {ElementPanelBytes<2>, ReadBf16, Interleave<uint32_t, 2>};
const PanelEncoding kQ8Panels = {Q8PanelBytes, ReadQ8, InterleaveGroups<0>};
const PanelEncoding kQ8OffsetPanels = {Q8PanelBytes, ReadQ8, InterleaveGroups<0x80808080>};

}  // namespace conclave
