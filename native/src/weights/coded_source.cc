#include "coded_source.h"

#include <algorithm>
#include <cmath>

#include "conclave/base/message.h"
#include "conclave/base/number_formats.h"
#include "conclave/weights/crc32.h"

namespace conclave {
namespace {

// What is read at a time of data that goes by rows.
constexpr int64_t kChunkBytes = 1 << 20;
// Columns of a group of MatrixSource::Codes.
constexpr int64_t kGroup = 32;

}  // namespace

CodedSource::CodedSource(const WeightStore& store, const MatrixSpec& matrix, const Rectangle& part,
                         uint32_t* crc)
    : store_(store),
      matrix_(matrix),
      decoder_(CodeDecoderOf(matrix.codes->encoding)),
      part_(part),
      crc_(crc),
      stored_(matrix) {}

void CodedSource::ReadData(int64_t first, int64_t count) {
  const TensorRef& data = matrix_.data;
  const size_t row_bytes = stored_.row_bytes();
  stored_.first_row = first;
  stored_rows_ = count;
  stored_.data.resize(static_cast<size_t>(count) * row_bytes);
  store_.ReadBytes(data, static_cast<uint64_t>(first) * row_bytes, stored_.data.size(),
                   stored_.data.data());
  if (crc_ != nullptr) *crc_ = Crc32(*crc_, stored_.data.data(), stored_.data.size());
}

void CodedSource::ReadBeside() {
  const MatrixCodes& codes = *matrix_.codes;
  const auto read = [&](const std::optional<TensorRef>& tensor, void* output) {
    store_.ReadBytes(*tensor, 0, tensor->bytes(), output);
    if (crc_ != nullptr) *crc_ = Crc32(*crc_, output, tensor->bytes());
  };
  if (codes.scales) {
    stored_.scales.resize(codes.scales->bytes());
    read(codes.scales, stored_.scales.data());
  }
  if (codes.zeros) {
    stored_.zeros.resize(codes.zeros->bytes());
    read(codes.zeros, stored_.zeros.data());
  }
  if (codes.group_index) {
    stored_.group_index.resize(static_cast<size_t>(codes.group_index->elements()));
    read(codes.group_index, stored_.group_index.data());
    const int64_t blocks =
        codes.encoding == MatrixEncoding::kGptq ? codes.scales->shape[0] : codes.scales->shape[1];
    for (const int32_t block : stored_.group_index) {
      if (block >= 0 && block < blocks) continue;
      Fail(ErrorCode::kCorruptCheckpoint, "tensor ", codes.group_index->name,
           ": expected groups below ", blocks, ", found ", block);
    }
  }
  if (codes.global_scale) read(codes.global_scale, &stored_.global_scale);
}

int64_t CodedSource::Decode(int64_t row) {
  const MatrixRegion region = matrix_.region.value_or(MatrixRegion());
  const int64_t at = region.StoredRow(part_.rows.begin + row);
  if (at < stored_.first_row || at >= stored_.first_row + stored_rows_) {
    const bool whole = crc_ != nullptr || !decoder_.by_rows;
    const int64_t all = matrix_.data.shape[0];
    const int64_t chunk =
        std::max<int64_t>(1, kChunkBytes / static_cast<int64_t>(stored_.row_bytes()));
    const bool first = stored_rows_ == 0;
    if (whole) {
      ReadData(0, all);
    } else {
      ReadData(at, std::min(chunk, all - at));
    }
    if (first) ReadBeside();
    if (whole) stored_rows_ = matrix_.codes->rows;
  }
  decoder_.decode(stored_, at, row_);
  return at;
}

void CodedSource::Floats(int64_t row, float* output) {
  const int64_t at = Decode(row);
  const int64_t first_col = matrix_.region ? matrix_.region->first_col : 0;
  row_.Floats(matrix_.codes->block_cols, first_col + part_.cols.begin, first_col + part_.cols.end,
              output);
  for (int64_t col = 0; col < cols(); ++col) {
    if (std::isfinite(output[col])) continue;
    Fail(ErrorCode::kCorruptCheckpoint, "tensor ", matrix_.data.name, ": the element at row ", at,
         ", column ", first_col + part_.cols.begin + col, " is ", output[col]);
  }
}

// code * scale - minimum as (code - zero) * scale. Where the scale is 0, all are the same.
void CodedSource::SetMinimum(float minimum, int64_t count, uint8_t* codes, float* scale,
                             float* zero) {
  *zero = *scale == 0 ? 0 : minimum / *scale;
  if (*scale != 0 || minimum == 0) return;
  std::fill_n(codes, count, uint8_t{1});
  *scale = -minimum;
}

CodeKind CodedSource::codes() const {
  const MatrixCodes& codes = *matrix_.codes;
  const bool blocks = codes.encoding == MatrixEncoding::kBlocks;
  const int64_t first_col = part_.cols.begin + (matrix_.region ? matrix_.region->first_col : 0);
  const bool by_groups = codes.block_cols % kGroup == 0 || codes.block_cols >= codes.cols;
  const CodeKind other = codes.bits < 8 || blocks ? CodeKind::kWide : CodeKind::kNone;
  if (codes.bits != 4 || codes.group_index || !by_groups || first_col % kGroup != 0) return other;
  if (codes.encoding == MatrixEncoding::kFp4) return CodeKind::kE2M1;
  if (!blocks) return codes.zeros ? CodeKind::kZeros : CodeKind::kSigned;
  switch (codes.block_type) {
    case BlockType::kQ4_0:
      return CodeKind::kSigned;
    case BlockType::kQ4_1:
    case BlockType::kQ4K:
      return CodeKind::kZeros;
    case BlockType::kMxfp4:
      return CodeKind::kE2M1;
    default:
      return other;
  }
}

void CodedSource::Codes(int64_t row, uint8_t* codes, float* scales, float* zeros) {
  const int64_t at = Decode(row);
  const int64_t first = part_.cols.begin + (matrix_.region ? matrix_.region->first_col : 0);
  std::copy_n(row_.codes.begin() + first, cols(), codes);
  // The value that a code of 0 stands for lies below its zero by as much as the table begins.
  const float shift = row_.zeros.empty() ? 0 : row_.table[0];
  for (int64_t col = 0; col < cols(); col += kGroup) {
    const auto block = static_cast<size_t>((first + col) / matrix_.codes->block_cols);
    scales[col / kGroup] = row_.scales[block];
    if (!row_.zeros.empty()) zeros[col / kGroup] = row_.zeros[block] - shift;
    if (!row_.minima.empty()) {
      SetMinimum(row_.minima[block], std::min(kGroup, cols() - col), codes + col,
                 scales + col / kGroup, zeros + col / kGroup);
    }
    if (std::isfinite(row_.scales[block])) continue;
    Fail(ErrorCode::kCorruptCheckpoint, "tensor ", matrix_.data.name, ": the scale of row ", at,
         ", column ", first + col, " is ", row_.scales[block]);
  }
}

void CodedSource::Bf16(int64_t row, uint16_t* output) {
  wide_.resize(static_cast<size_t>(cols()));
  Floats(row, wide_.data());
  for (int64_t col = 0; col < cols(); ++col) {
    output[col] = FloatToBf16(wide_[static_cast<size_t>(col)]);
    if (std::isfinite(Bf16ToFloat(output[col]))) continue;
    Fail(ErrorCode::kCorruptCheckpoint, "tensor ", matrix_.data.name, ": row ", row,
         " has an element beyond the range of bf16");
  }
}

}  // namespace conclave
