#include <initializer_list>
#include <string>

#include "conclave/base/message.h"
#include "validator.h"

namespace conclave {
namespace {

int64_t WordsOf(int64_t elements, int bits) { return (elements * bits - 1) / 32 + 1; }

void CheckType(const TensorRef& tensor, std::initializer_list<SourceType> types) {
  for (const SourceType type : types)
    if (tensor.type == type) return;
  Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor.name,
       ": elements of a type that its matrix' encoding does not have");
}

}  // namespace

// The shapes are those of MatrixEncoding in model.proto.
void TensorValidator::Codes(const std::string& path, const MatrixSpec& matrix) {
  const MatrixCodes& codes = *matrix.codes;
  const int64_t rows = codes.rows;
  const int64_t cols = codes.cols;
  const auto need = [&](const std::optional<TensorRef>& tensor, const char* part) {
    if (tensor) return;
    Fail(ErrorCode::kInvalidArgument, path, ".", part, ": expected a tensor, got none");
  };
  const auto words = [&](const std::string& part, const TensorRef& tensor,
                         const std::vector<int64_t>& shape) {
    CheckType(tensor, {SourceType::kI32});
    Extent(path + part, tensor, shape);
  };
  if (codes.encoding != MatrixEncoding::kBlocks) need(codes.scales, "scales");
  std::vector<int64_t> scales{codes.row_blocks(), codes.col_blocks()};
  switch (codes.encoding) {
    case MatrixEncoding::kPlain:
      Fail(ErrorCode::kInvalidArgument, path, ".codes: of a plain matrix");
    case MatrixEncoding::kScaled:
      CheckType(matrix.data, {SourceType::kF8E4M3, SourceType::kI8});
      Extent(path, matrix.data, {rows, cols});
      break;
    case MatrixEncoding::kPackedRows:
      words("", matrix.data, {rows, WordsOf(cols, codes.bits)});
      if (codes.zeros)
        words(".zeros", *codes.zeros, {WordsOf(rows, codes.bits), codes.col_blocks()});
      break;
    case MatrixEncoding::kGptq:
    case MatrixEncoding::kAwq: {
      if (codes.encoding == MatrixEncoding::kAwq) need(codes.zeros, "zeros");
      const bool down = codes.encoding == MatrixEncoding::kGptq;
      words("", matrix.data,
            {down ? WordsOf(cols, codes.bits) : cols, down ? rows : WordsOf(rows, codes.bits)});
      // Groups that columns are assigned to by an index may be of any number.
      const int64_t blocks = down && codes.group_index && !codes.scales->shape.empty()
                                 ? codes.scales->shape[0]
                                 : codes.col_blocks();
      if (codes.zeros) words(".zeros", *codes.zeros, {blocks, WordsOf(rows, codes.bits)});
      scales = {blocks, rows};
      break;
    }
    case MatrixEncoding::kFp4:
      CheckType(matrix.data, {SourceType::kU8, SourceType::kI8});
      Extent(path, matrix.data, {rows, (cols + 1) / 2});
      break;
    case MatrixEncoding::kBlocks: {
      const BlockSize size = SizeOf(codes.block_type);
      CheckType(matrix.data, {SourceType::kU8});
      if (cols % size.elements != 0) {
        Fail(ErrorCode::kCorruptCheckpoint, "tensor ", matrix.data.name, ": ", cols,
             " columns, expected a multiple of ", size.elements);
      }
      return Extent(path, matrix.data, {rows, cols / size.elements * size.bytes});
    }
  }
  CheckType(*codes.scales, {SourceType::kF32, SourceType::kF16, SourceType::kBF16,
                            SourceType::kF8E4M3, SourceType::kF8E8M0});
  Extent(path + ".scales", *codes.scales, scales);
  if (codes.group_index) words(".groupIndex", *codes.group_index, {cols});
  if (codes.global_scale) {
    CheckType(*codes.global_scale, {SourceType::kF32});
    Extent(path + ".globalScale", *codes.global_scale, {1});
  }
}

}  // namespace conclave
