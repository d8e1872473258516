#include <algorithm>
#include <string>
#include <vector>

#include "conclave/base/error.h"
#include "kernels/cpu/matmul/layout.h"

namespace conclave {
namespace {

// Packs one panel after the other, through rows of elements in panel order.
class PanelPacker {
 public:
  PanelPacker(MatrixSource& source, const PackedMatrix::Layout& layout)
      : source_(source),
        layout_(layout),
        row_bytes_(RoundUp(layout.padded_cols * 4, 64) | 64),
        rows_(static_cast<size_t>(row_bytes_ * layout.tiles->panel_rows)),
        wide_(static_cast<size_t>(layout.padded_cols)) {}

  void Pack(int64_t index, uint8_t* panel) {
    const int panel_rows = layout_.tiles->panel_rows;
    const int64_t first = index * panel_rows;
    const int64_t rows = std::min<int64_t>(panel_rows, source_.rows() - first);
    // Columns and rows beyond the source stay zero from the start, but the last panel may have
    // fewer rows than the one before.
    if (rows < panel_rows) std::fill(rows_.begin(), rows_.end(), uint8_t{0});
    const PanelEncoding& encoding = *layout_.kernel->weights;
    for (int64_t row = 0; row < rows; ++row) {
      encoding.read(*layout_.tiles, source_, first + row, layout_.padded_cols, wide_.data(),
                    rows_.data() + row * row_bytes_);
    }
    encoding.interleave(rows_.data(), row_bytes_, layout_.padded_cols, panel_rows, panel);
  }

 private:
  MatrixSource& source_;
  const PackedMatrix::Layout& layout_;
  int64_t row_bytes_;  // room for a row in any encoding
  std::vector<uint8_t> rows_;
  std::vector<float> wide_;
};

}  // namespace

PackedMatrix PackMatrix(const TileKernels& tiles, MatrixSource& source, WeightsFormat format,
                        WeightMemory& memory) {
  if (source.rows() < 1 || source.cols() < 1) {
    throw Error(ErrorCode::kInvalidArgument, "weights: expected at least one row and column, got " +
                                                 std::to_string(source.rows()) + " rows and " +
                                                 std::to_string(source.cols()) + " columns");
  }
  PackedMatrix::Layout layout;
  layout.tiles = &tiles;
  layout.kernel = &tiles.formats[static_cast<size_t>(TileFormatOf(source, format))];
  layout.rows = source.rows();
  layout.cols = source.cols();
  layout.padded_cols = RoundUp(source.cols(), kColumnGroup);
  layout.panels = RoundUp(source.rows(), tiles.panel_rows) / tiles.panel_rows;
  layout.panel_bytes = layout.kernel->weights->bytes(layout.padded_cols, tiles.panel_rows);
  const std::shared_ptr<uint8_t> data =
      memory.Allocate(static_cast<size_t>(layout.panels) * layout.panel_bytes);

  PanelPacker packer(source, layout);
  for (int64_t index = 0; index < layout.panels; ++index) {
    packer.Pack(index, data.get() + static_cast<size_t>(index) * layout.panel_bytes);
  }
  layout.data = data;
  return PackedMatrix(std::make_shared<const PackedMatrix::Layout>(std::move(layout)));
}

int64_t PackedMatrix::rows() const { return layout_ ? layout_->rows : 0; }
int64_t PackedMatrix::cols() const { return layout_ ? layout_->cols : 0; }
size_t PackedMatrix::bytes() const {
  return layout_ ? static_cast<size_t>(layout_->panels) * layout_->panel_bytes : 0;
}

}  // namespace conclave
