#include "kernels/cpu/matmul/product.h"

#include <algorithm>
#include <functional>

namespace conclave {
namespace {

// A block of rows goes through all panels of a task before the next block does, so its activations
// should stay in the L2 cache beside a panel.
constexpr int64_t kRowBlockBytes = 768 << 10;
constexpr int64_t kLeastRowBlock = 56;
constexpr int64_t kMostRowBlock = 140;

int64_t UnitColumns(const TileKernels& tiles) {
  return std::max<int64_t>(tiles.panel_rows, kColumnGroup);
}

// Rows of a block of a task: blocks are of nearly equal size.
int64_t RowBlock(const MatmulTask& task, int64_t activation_stride) {
  const int64_t most =
      std::clamp(kRowBlockBytes / activation_stride, kLeastRowBlock, kMostRowBlock);
  const int64_t count = task.row_end - task.row_begin;
  const int64_t blocks = (count - 1) / most + 1;
  return (count - 1) / blocks + 1;
}

// A dense or strided matrix of floats.
struct FloatRows {
  float* data;
  int64_t stride;
};

void AddBias(const float* bias, int64_t count, float* row) {
  std::transform(row, row + count, bias, row, std::plus<float>());
}

// The columns of one panel for rows [row, row + count). `last`: this thread does no other panel of
// the task after it.
void MultiplyPanel(const Product& product, int64_t panel, int64_t row, int64_t count, bool last,
                   FloatRows output, FloatRows partial) {
  product.w.kernel->multiply({.panel = product.w.panel(panel),
                              .next_panel = last ? nullptr : product.w.panel(panel + 1),
                              .cols = product.w.padded_cols,
                              .activations = product.activations + row * product.activation_stride,
                              .activation_stride = product.activation_stride,
                              .rows = count,
                              .output = output.data,
                              .output_stride = output.stride,
                              .partial = partial.data,
                              .partial_stride = partial.stride});
}

}  // namespace

size_t ScratchBytes(const TileKernels& tiles) {
  return static_cast<size_t>(2 * kMostRowBlock * UnitColumns(tiles)) * sizeof(float);
}

void Product::Run(const MatmulTask& task, float* scratch) const {
  const int64_t panel_rows = w.tiles->panel_rows;
  const FloatRows partial = {scratch, panel_rows};
  const int64_t block = RowBlock(task, activation_stride);
  for (int64_t row = task.row_begin; row < task.row_end; row += block) {
    const int64_t count = std::min(block, task.row_end - row);
    for (int64_t panel = task.panel_begin; panel < task.panel_end; ++panel) {
      const bool last = panel + 1 == task.panel_end;
      const int64_t first = panel * panel_rows;
      const int64_t columns = std::min(panel_rows, w.rows - first);
      float* const out = output + row * w.rows + first;
      if (columns == panel_rows) {
        MultiplyPanel(*this, panel, row, count, last, {out, w.rows}, partial);
      } else {
        MultiplyPanel(*this, panel, row, count, last, partial, partial);
        for (int64_t i = 0; i < count; ++i) {
          std::copy_n(scratch + i * panel_rows, columns, out + i * w.rows);
        }
      }
      if (bias == nullptr) continue;
      for (int64_t i = 0; i < count; ++i) {
        AddBias(bias + first, columns, out + i * w.rows);
      }
    }
  }
}

int64_t GateUp::UnitPanels(const TileKernels& tiles) {
  return UnitColumns(tiles) / tiles.panel_rows;
}

void GateUp::Run(const MatmulTask& task, float* scratch) const {
  const TileKernels& tiles = *gate.w.tiles;
  const int64_t unit_columns = UnitColumns(tiles);
  const int64_t unit_panels = UnitPanels(tiles);
  float* const gates = scratch;
  float* const ups = scratch + kMostRowBlock * unit_columns;
  const int64_t block = RowBlock(task, gate.activation_stride);
  for (int64_t row = task.row_begin; row < task.row_end; row += block) {
    const int64_t count = std::min(block, task.row_end - row);
    for (int64_t unit = task.panel_begin; unit < task.panel_end; unit += unit_panels) {
      const int64_t end = std::min(unit + unit_panels, task.panel_end);
      for (int64_t panel = unit; panel < end; ++panel) {
        const int64_t column = (panel - unit) * tiles.panel_rows;
        const bool last = panel + 1 == task.panel_end;
        const FloatRows gate_out = {gates + column, unit_columns};
        const FloatRows up_out = {ups + column, unit_columns};
        if (has_gate) MultiplyPanel(gate, panel, row, count, last, gate_out, gate_out);
        MultiplyPanel(up, panel, row, count, last, up_out, up_out);
      }
      // Columns beyond I must be zeros, whatever zero weights made of a non-finite activation.
      const int64_t first = unit * tiles.panel_rows;
      const int64_t columns = std::min(unit_columns, gate.w.rows - first);
      const int64_t padded = std::min(unit_columns, padded_width - first);
      for (int64_t i = 0; i < count; ++i) {
        float* const gate_row = gates + i * unit_columns;
        float* const up_row = ups + i * unit_columns;
        std::fill(gate_row + columns, gate_row + padded, 0.0f);
        std::fill(up_row + columns, up_row + padded, 0.0f);
        if (gate.bias != nullptr) AddBias(gate.bias + first, columns, gate_row);
        if (up.bias != nullptr) AddBias(up.bias + first, columns, up_row);
        tiles.activate(activation, up_row, padded, gate_row);
        encode(gate_row, first, padded, padded_width,
               intermediate + (row + i) * intermediate_stride);
      }
    }
  }
}

}  // namespace conclave
