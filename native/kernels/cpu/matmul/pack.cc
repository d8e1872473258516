#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "conclave/base/error.h"
#include "conclave/base/number_formats.h"
#include "kernels/cpu/matmul/layout.h"

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

template <typename Bits>
bool AllFinite(const Bits* x, int64_t count, uint32_t exponent_mask) {
  const auto mask = static_cast<Bits>(exponent_mask);
  Bits bad = 0;
  for (int64_t i = 0; i < count; ++i) bad |= static_cast<Bits>((x[i] & mask) == mask);
  return bad == 0;
}

// Reads rows of the source, which need not be aligned, checks them, and converts them to one
// element type.
class RowReader {
 public:
  // Holds up to `most_rows` rows at a time.
  RowReader(const SourceMatrix& source, int64_t most_rows)
      : source_(source),
        data_(static_cast<const uint8_t*>(source.data)),
        stride_(source.data != nullptr ? source.stride : source.cols),
        fetched_(source.data != nullptr
                     ? 0
                     : static_cast<size_t>(most_rows * source.cols) * ElementBytes(source.type)),
        raw_(static_cast<size_t>(source.cols)),
        wide_(static_cast<size_t>(source.cols)) {}

  // Rows [first, first + count) are read next.
  void Fetch(int64_t first, int64_t count) {
    if (source_.data != nullptr) return;
    source_.read(first, count, fetched_.data());
    data_ = fetched_.data();
    first_ = first;
  }

  // 16-bit elements as they are.
  void Raw(int64_t row, uint16_t* out) const {
    std::memcpy(out, RowData(row), static_cast<size_t>(source_.cols) * 2);
    if (!AllFinite<uint16_t>(out, source_.cols, ExponentMask())) ThrowNonFinite(row);
  }

  void Float(int64_t row, float* out) {
    if (source_.type == SourceType::kF32) {
      std::memcpy(out, RowData(row), static_cast<size_t>(source_.cols) * 4);
      if (!AllFinite<uint32_t>(reinterpret_cast<const uint32_t*>(out), source_.cols,
                               ExponentMask())) {
        ThrowNonFinite(row);
      }
      return;
    }
    Raw(row, raw_.data());
    if (source_.type == SourceType::kF16) {
      for (int64_t i = 0; i < source_.cols; ++i) out[i] = F16ToFloat(raw_[static_cast<size_t>(i)]);
    } else {
      for (int64_t i = 0; i < source_.cols; ++i) out[i] = Bf16ToFloat(raw_[static_cast<size_t>(i)]);
    }
  }

  void Bf16(int64_t row, uint16_t* out) {
    if (source_.type == SourceType::kBF16) return Raw(row, out);
    Float(row, wide_.data());
    for (int64_t i = 0; i < source_.cols; ++i) out[i] = FloatToBf16(wide_[static_cast<size_t>(i)]);
    if (!AllFinite<uint16_t>(out, source_.cols, 0x7f80)) {
      throw Error(ErrorCode::kNonFinite, "weights: row " + std::to_string(row) +
                                             " has an element beyond the range of bf16");
    }
  }

 private:
  const uint8_t* Element(int64_t row, int64_t col) const {
    return data_ + static_cast<size_t>((row - first_) * stride_ + col) * ElementBytes(source_.type);
  }
  const uint8_t* RowData(int64_t row) const { return Element(row, 0); }

  uint32_t ExponentMask() const {
    switch (source_.type) {
      case SourceType::kF32:
        return 0x7f800000;
      case SourceType::kF16:
        return 0x7c00;
      case SourceType::kBF16:
        return 0x7f80;
    }
    return 0;
  }

  [[noreturn]] void ThrowNonFinite(int64_t row) const {
    int64_t col = 0;
    for (; col < source_.cols; ++col) {
      uint32_t bits = 0;
      std::memcpy(&bits, Element(row, col), ElementBytes(source_.type));
      if ((bits & ExponentMask()) == ExponentMask()) break;
    }
    throw Error(ErrorCode::kNonFinite, std::string("weights: the ") + Name(source_.type) +
                                           " element at row " + std::to_string(row) + ", column " +
                                           std::to_string(col) + " is NaN or infinite");
  }

  const SourceMatrix& source_;
  const uint8_t* data_;  // of row first_
  int64_t first_ = 0;
  int64_t stride_;
  std::vector<uint8_t> fetched_;
  std::vector<uint16_t> raw_;
  std::vector<float> wide_;
};

// rows [panel_rows][count] of units, `row_bytes` apart, to out [count][panel_rows]. Goes by blocks
// of units, so that the lines written stay in the L1 cache until they are full.
template <typename Unit>
void Interleave(const uint8_t* rows, int64_t row_bytes, int64_t count, int panel_rows,
                uint8_t* out) {
  constexpr int64_t kBlock = 64;
  auto* const units = reinterpret_cast<Unit*>(out);
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, count);
    for (int row = 0; row < panel_rows; ++row) {
      const auto* in = reinterpret_cast<const Unit*>(rows + row * row_bytes);
      for (int64_t i = begin; i < end; ++i) units[i * panel_rows + row] = in[i];
    }
  }
}

// Packs one panel after the other, through rows of elements in panel order.
class PanelPacker {
 public:
  PanelPacker(const SourceMatrix& source, const PackedMatrix::Layout& layout)
      : source_(source),
        layout_(layout),
        reader_(source, layout.tiles->panel_rows),
        row_bytes_(RoundUp(layout.padded_cols * 4, 64) | 64),
        rows_(static_cast<size_t>(row_bytes_ * layout.tiles->panel_rows)),
        wide_(static_cast<size_t>(layout.padded_cols)) {}

  void Pack(int64_t index, uint8_t* panel) {
    const int panel_rows = layout_.tiles->panel_rows;
    const int64_t first = index * panel_rows;
    const int64_t rows = std::min<int64_t>(panel_rows, source_.rows - first);
    // Columns and rows beyond the source stay zero from the start, but the last panel may have
    // fewer rows than the one before.
    if (rows < panel_rows) std::fill(rows_.begin(), rows_.end(), uint8_t{0});
    reader_.Fetch(first, rows);
    for (int64_t row = 0; row < rows; ++row) ReadRow(first + row, rows_.data() + row * row_bytes_);
    switch (layout_.kernel->weights) {
      case WeightEncoding::kF32:
        return Interleave<uint32_t>(rows_.data(), row_bytes_, layout_.padded_cols, panel_rows,
                                    panel);
      case WeightEncoding::kF16:
        return Interleave<uint16_t>(rows_.data(), row_bytes_, layout_.padded_cols, panel_rows,
                                    panel);
      case WeightEncoding::kBF16:
        return Interleave<uint32_t>(rows_.data(), row_bytes_, layout_.padded_cols / 2, panel_rows,
                                    panel);
      case WeightEncoding::kQ8:
        return InterleaveGroups(0, panel);
      case WeightEncoding::kQ8Offset:
        return InterleaveGroups(0x80808080, panel);
    }
  }

 private:
  void ReadRow(int64_t row, uint8_t* out) {
    switch (layout_.kernel->weights) {
      case WeightEncoding::kF32:
        return reader_.Float(row, reinterpret_cast<float*>(out));
      case WeightEncoding::kF16:
        return reader_.Raw(row, reinterpret_cast<uint16_t*>(out));
      case WeightEncoding::kBF16:
        return reader_.Bf16(row, reinterpret_cast<uint16_t*>(out));
      case WeightEncoding::kQ8:
      case WeightEncoding::kQ8Offset:
        // Weights are quantised as activations are.
        reader_.Float(row, wide_.data());
        layout_.tiles->encode[static_cast<size_t>(ActivationEncoding::kQ8)](
            wide_.data(), 0, layout_.padded_cols, layout_.padded_cols, out);
    }
  }

  void InterleaveGroups(uint32_t flip, uint8_t* panel) const {
    const int panel_rows = layout_.tiles->panel_rows;
    const int64_t groups = layout_.padded_cols / kColumnGroup;
    constexpr int64_t kQuads = kColumnGroup / 4;
    auto* out = reinterpret_cast<uint32_t*>(panel);
    for (int64_t group = 0; group < groups; ++group, out += (kQuads + 1) * panel_rows) {
      for (int row = 0; row < panel_rows; ++row) {
        const uint8_t* const encoded = rows_.data() + row * row_bytes_;
        const auto* const quads = reinterpret_cast<const uint32_t*>(encoded) + group * kQuads;
        for (int64_t i = 0; i < kQuads; ++i) out[i * panel_rows + row] = quads[i] ^ flip;
        out[kQuads * panel_rows + row] =
            reinterpret_cast<const uint32_t*>(encoded + layout_.padded_cols)[group];
      }
    }
  }

  const SourceMatrix& source_;
  const PackedMatrix::Layout& layout_;
  RowReader reader_;
  int64_t row_bytes_;  // room for a row in any encoding
  std::vector<uint8_t> rows_;
  std::vector<float> wide_;
};

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

}  // namespace

PackedMatrix PackMatrix(const TileKernels& tiles, const SourceMatrix& source, WeightsFormat format,
                        WeightMemory& memory) {
  const bool readable = source.data != nullptr || source.read;
  if (!readable || source.rows < 1 || source.cols < 1 || source.stride < source.cols) {
    throw Error(ErrorCode::kInvalidArgument,
                "weights: expected data, at least one row and column, and stride >= columns; got " +
                    std::to_string(source.rows) + " rows, " + std::to_string(source.cols) +
                    " columns, stride " + std::to_string(source.stride) +
                    (readable ? "" : ", no data"));
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
