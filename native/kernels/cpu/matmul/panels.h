#pragma once

// How panels hold weights: a row of a table for each encoding. matmul_tile.h draws them.

#include <cstddef>
#include <cstdint>

#include "conclave/base/matrix_source.h"

namespace conclave {

struct TileKernels;

// A panel of K = padded columns by R rows is packed by way of R rows of encoded elements.
struct PanelEncoding {
  // Of a panel; a multiple of 64.
  size_t (*bytes)(int64_t cols, int panel_rows);
  // Row of the source to `output`, as encoded elements; what the source does not have stays as it
  // is. `wide` has K zeros at first and no others write to it.
  void (*read)(const TileKernels& tiles, MatrixSource& source, int64_t row, int64_t cols,
               float* wide, uint8_t* output);
  // R rows, `row_bytes` apart, to the panel.
  void (*interleave)(const uint8_t* rows, int64_t row_bytes, int64_t cols, int panel_rows,
                     uint8_t* panel);
};

// [K][R] elements.
extern const PanelEncoding kF32Panels;
extern const PanelEncoding kF16Panels;
// [K / 2][R][2] elements.
extern const PanelEncoding kBf16Panels;
// [K / 32] groups of: [8][R][4] int8, then [R] f32 scales.
extern const PanelEncoding kQ8Panels;
// The same with 128 added to every int8.
extern const PanelEncoding kQ8OffsetPanels;
// [K / 32] groups of: [4][R][4] bytes, each the codes of columns 4 s + i and 4 s + i + 16 of step
// s, the first in the lower bits; then [R] f16 scales.
extern const PanelEncoding kQ4Panels;
// The same with [R] f16 zeros behind them.
extern const PanelEncoding kQ4ZerosPanels;

}  // namespace conclave
