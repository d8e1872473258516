#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "conclave/error.h"
#include "kernels/cpu/matmul_layout.h"
#include "kernels/cpu/number_formats.h"

namespace conclave {
namespace {

const char* Name(SourceType type) {
  switch (type) {
    case SourceType::kF32:
      return "f32";
    case SourceType::kF16:
      return "f16";
    case SourceType::kBF16:
      return "bf16";
  }
  return "unknown";
}

size_t ElementBytes(SourceType type) { return type == SourceType::kF32 ? 4 : 2; }

template <typename Bits>
bool AllFinite(const Bits* x, int64_t count, Bits exponent_mask) {
  Bits bad = 0;
  for (int64_t i = 0; i < count; ++i)
    bad |= static_cast<Bits>((x[i] & exponent_mask) == exponent_mask);
  return bad == 0;
}

// Reads rows of the source, which need not be aligned, into padded rows of one element type.
class RowReader {
 public:
  RowReader(const SourceMatrix& source, int64_t padded_cols)
      : source_(source),
        raw_(static_cast<size_t>(padded_cols)),
        wide_(static_cast<size_t>(padded_cols)) {}

  // 16-bit elements as they are.
  const uint16_t* Raw(int64_t row) {
    std::memcpy(raw_.data(), RowData(row), static_cast<size_t>(source_.cols) * 2);
    const uint16_t mask = source_.type == SourceType::kF16 ? 0x7c00 : 0x7f80;
    if (!AllFinite<uint16_t>(raw_.data(), source_.cols, mask)) ThrowNonFinite(row);
    return raw_.data();
  }

  const float* Float(int64_t row) {
    if (source_.type == SourceType::kF32) {
      std::memcpy(wide_.data(), RowData(row), static_cast<size_t>(source_.cols) * 4);
      if (!std::all_of(wide_.begin(), wide_.end(), [](float x) { return std::isfinite(x); }))
        ThrowNonFinite(row);
      return wide_.data();
    }
    const uint16_t* raw = Raw(row);
    const auto widen = source_.type == SourceType::kF16 ? FloatFromF16 : FloatFromBf16;
    for (int64_t i = 0; i < source_.cols; ++i) wide_[static_cast<size_t>(i)] = widen(raw[i]);
    return wide_.data();
  }

  const uint16_t* Bf16(int64_t row) {
    if (source_.type == SourceType::kBF16) return Raw(row);
    const float* x = Float(row);
    for (int64_t i = 0; i < source_.cols; ++i) raw_[static_cast<size_t>(i)] = Bf16FromFloat(x[i]);
    if (!AllFinite<uint16_t>(raw_.data(), source_.cols, 0x7f80)) {
      throw Error(ErrorCode::kNonFinite, "weights: row " + std::to_string(row) +
                                             " has an element beyond the range of bf16");
    }
    return raw_.data();
  }

 private:
  const uint8_t* RowData(int64_t row) const {
    return static_cast<const uint8_t*>(source_.data) +
           static_cast<size_t>(row * source_.stride) * ElementBytes(source_.type);
  }

  [[noreturn]] void ThrowNonFinite(int64_t row) const {
    int64_t col = 0;
    for (; col < source_.cols; ++col) {
      const uint8_t* element = RowData(row) + static_cast<size_t>(col) * ElementBytes(source_.type);
      uint32_t bits = 0;
      std::memcpy(&bits, element, ElementBytes(source_.type));
      const uint32_t mask = source_.type == SourceType::kF32   ? 0x7f800000
                            : source_.type == SourceType::kF16 ? 0x7c00
                                                               : 0x7f80;
      if ((bits & mask) == mask) break;
    }
    throw Error(ErrorCode::kNonFinite, std::string("weights: the ") + Name(source_.type) +
                                           " element at row " + std::to_string(row) + ", column " +
                                           std::to_string(col) + " is NaN or infinite");
  }

  const SourceMatrix& source_;
  std::vector<uint16_t> raw_;
  std::vector<float> wide_;
};

// One row of a panel of single elements: [K][R].
template <typename Element>
void Interleave(const Element* row, int64_t cols, int panel_rows, uint8_t* lane) {
  auto* out = reinterpret_cast<Element*>(lane);
  for (int64_t k = 0; k < cols; ++k) out[k * panel_rows] = row[k];
}

// One row of a panel of pairs: [K / 2][R][2].
void InterleavePairs(const uint16_t* row, int64_t cols, int panel_rows, uint8_t* lane) {
  for (int64_t k = 0; k < cols; k += 2) std::memcpy(lane + k * panel_rows * 2, row + k, 4);
}

// One row of a panel of groups: quantised to nearest with scale = max|x| / 127.
void InterleaveQ8(const float* row, int64_t cols, int panel_rows, int lane, uint8_t flip,
                  uint8_t* panel) {
  const size_t group_bytes = static_cast<size_t>(panel_rows) * (kColumnGroup + sizeof(float));
  for (int64_t group = 0; group < cols / kColumnGroup;
       ++group, panel += group_bytes, row += kColumnGroup) {
    float largest = 0;
    for (int i = 0; i < kColumnGroup; ++i) largest = std::max(largest, std::fabs(row[i]));
    const float scale = largest < kSmallestQ8 ? 0 : largest / 127;
    const float inverse = largest < kSmallestQ8 ? 0 : 127 / largest;
    for (int i = 0; i < kColumnGroup; ++i) {
      const auto value = static_cast<int8_t>(std::lrintf(row[i] * inverse));
      panel[(i / 4 * panel_rows + lane) * 4 + i % 4] = static_cast<uint8_t>(value) ^ flip;
    }
    std::memcpy(panel + panel_rows * kColumnGroup + lane * sizeof(float), &scale, sizeof(float));
  }
}

const TileKernel& KernelFor(const TileKernels& tiles, SourceType type, WeightsFormat format) {
  switch (format) {
    case WeightsFormat::kF32:
      return type == SourceType::kF32   ? tiles.f32
             : type == SourceType::kF16 ? tiles.f16
                                        : tiles.bf16_exact;
    case WeightsFormat::kBF16:
      return tiles.bf16;
    case WeightsFormat::kQ8:
      return tiles.q8;
  }
  throw Error(ErrorCode::kInvalidArgument,
              "weights: unknown format " + std::to_string(static_cast<int>(format)));
}

size_t PanelBytes(WeightEncoding encoding, int64_t cols, int panel_rows) {
  const size_t elements = static_cast<size_t>(cols) * static_cast<size_t>(panel_rows);
  switch (encoding) {
    case WeightEncoding::kF32:
      return elements * 4;
    case WeightEncoding::kF16:
    case WeightEncoding::kBF16:
      return elements * 2;
    case WeightEncoding::kQ8:
    case WeightEncoding::kQ8Offset:
      return elements + elements / kColumnGroup * sizeof(float);
  }
  return 0;
}

void PackRow(RowReader& reader, int64_t row, const PackedMatrix::Layout& layout, int lane,
             uint8_t* panel) {
  const int64_t cols = layout.padded_cols;
  const int panel_rows = layout.tiles->panel_rows;
  switch (layout.kernel->weights) {
    case WeightEncoding::kF32:
      return Interleave(reader.Float(row), cols, panel_rows, panel + lane * 4);
    case WeightEncoding::kF16:
      return Interleave(reader.Raw(row), cols, panel_rows, panel + lane * 2);
    case WeightEncoding::kBF16:
      return InterleavePairs(reader.Bf16(row), cols, panel_rows, panel + lane * 4);
    case WeightEncoding::kQ8:
      return InterleaveQ8(reader.Float(row), cols, panel_rows, lane, 0, panel);
    case WeightEncoding::kQ8Offset:
      return InterleaveQ8(reader.Float(row), cols, panel_rows, lane, 0x80, panel);
  }
}

}  // namespace

PackedMatrix PackMatrix(const TileKernels& tiles, const SourceMatrix& source, WeightsFormat format,
                        WeightMemory& memory) {
  if (source.data == nullptr || source.rows < 1 || source.cols < 1 || source.stride < source.cols) {
    throw Error(ErrorCode::kInvalidArgument,
                "weights: expected data, at least one row and column, and stride >= columns; got " +
                    std::to_string(source.rows) + " rows, " + std::to_string(source.cols) +
                    " columns, stride " + std::to_string(source.stride) +
                    (source.data == nullptr ? ", no data" : ""));
  }
  PackedMatrix::Layout layout;
  layout.tiles = &tiles;
  layout.kernel = &KernelFor(tiles, source.type, format);
  layout.rows = source.rows;
  layout.cols = source.cols;
  layout.padded_cols = RoundUp(source.cols, kColumnGroup);
  layout.panels = RoundUp(source.rows, tiles.panel_rows) / tiles.panel_rows;
  layout.panel_bytes = PanelBytes(layout.kernel->weights, layout.padded_cols, tiles.panel_rows);
  const std::shared_ptr<uint8_t> data =
      memory.Allocate(static_cast<size_t>(layout.panels) * layout.panel_bytes);

  RowReader reader(source, layout.padded_cols);
  for (int64_t index = 0; index < layout.panels; ++index) {
    uint8_t* panel = data.get() + static_cast<size_t>(index) * layout.panel_bytes;
    const int64_t first_row = index * tiles.panel_rows;
    const int64_t rows = std::min<int64_t>(tiles.panel_rows, source.rows - first_row);
    if (rows < tiles.panel_rows) {
      // A zero weight of kQ8Offset is 128, but the scale of such rows is zero.
      std::memset(panel, 0, layout.panel_bytes);
    }
    for (int lane = 0; lane < rows; ++lane) PackRow(reader, first_row + lane, layout, lane, panel);
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
