#include <cmath>

#include "conclave/base/message.h"
#include "validator.h"

namespace conclave {

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

void CheckPositive(const std::string& path, float value) {
  if (!std::isfinite(value) || value <= 0) {
    Fail(ErrorCode::kInvalidArgument, path, ": expected a finite number above 0, got ", value);
  }
}

void CheckFinite(const std::string& path, float value) {
  if (!std::isfinite(value))
    Fail(ErrorCode::kInvalidArgument, path, ": expected a finite number, got ", value);
}

void CheckFromZero(const std::string& path, float value) {
  if (!std::isfinite(value) || value < 0)
    Fail(ErrorCode::kInvalidArgument, path, ": expected a finite number from 0, got ", value);
}

void TensorValidator::Tensor(const std::string& path, const TensorRef& tensor,
                             const std::vector<int64_t>& shape) {
  if (!IsFloat(tensor.type)) {
    Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor.name, " (", path,
         "): expected elements in F32, F16 or BF16");
  }
  Extent(path, tensor, shape);
}

void TensorValidator::Ids(const std::string& path, const TensorRef& tensor,
                          const std::vector<int64_t>& shape) {
  if (tensor.type != SourceType::kI32 && tensor.type != SourceType::kI64) {
    Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor.name, " (", path,
         "): expected elements in I32 or I64");
  }
  Extent(path, tensor, shape);
}

// The shape, and that the tensor lies in its file.
void TensorValidator::Extent(const std::string& path, const TensorRef& tensor,
                             const std::vector<int64_t>& shape) {
  if (tensor.shape != shape) {
    Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor.name, " (", path, "): expected shape ",
         ShapeText(shape), ", got ", ShapeText(tensor.shape));
  }
  if (tensor.file >= spec_.files.size()) {
    Fail(ErrorCode::kInvalidArgument, "tensor ", tensor.name, " (", path, "): file ", tensor.file,
         " of ", spec_.files.size());
  }
  uint64_t end = 0;
  uint64_t bytes = ElementBytes(tensor.type);
  for (const int64_t length : shape) {
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(length), &bytes)) bytes = UINT64_MAX;
  }
  const CheckpointFile& file = spec_.files[tensor.file];
  if (__builtin_add_overflow(tensor.offset, bytes, &end) || end > file.bytes) {
    Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor.name, ": ", bytes, " bytes at offset ",
         tensor.offset, " do not lie within the ", file.bytes, " bytes of ", file.path);
  }
}

void TensorValidator::Matrix(const std::string& path, const MatrixSpec& matrix, int64_t rows,
                             int64_t cols) {
  if (matrix.codes) {
    Codes(path, matrix);
    return Region(path, matrix, rows, cols, {matrix.codes->rows, matrix.codes->cols});
  }
  if (!matrix.region) return Tensor(path, matrix.data, {rows, cols});
  Tensor(path, matrix.data, matrix.data.shape);
  Region(path, matrix, rows, cols, matrix.data.shape);
}

void TensorValidator::Region(const std::string& path, const MatrixSpec& matrix, int64_t rows,
                             int64_t cols, const std::vector<int64_t>& stored) {
  if (matrix.rows() != rows || matrix.cols() != cols || stored.size() != 2) {
    Fail(ErrorCode::kCorruptCheckpoint, "tensor ", matrix.data.name, " (", path,
         "): expected a region [", rows, ", ", cols, "] of a matrix, got [", matrix.rows(), ", ",
         matrix.cols(), "] of ", ShapeText(stored));
  }
  if (!matrix.region) return;
  const MatrixRegion& region = *matrix.region;
  if (matrix.codes && region.transposed) {
    Fail(ErrorCode::kUnsupported, path, ".region.transposed: of a matrix of codes, which is not ",
         "supported");
  }
  const bool ordered = region.row_group >= 1 && region.row_step >= region.row_group;
  const int64_t last_row = ordered ? region.StoredRow(rows - 1) : -1;
  const int64_t last_col = region.first_col + cols - 1;
  const bool inside = ordered && region.first_row >= 0 && region.first_col >= 0 &&
                      last_row < stored[region.transposed ? 1 : 0] &&
                      last_col < stored[region.transposed ? 0 : 1];
  if (!inside) {
    Fail(ErrorCode::kInvalidArgument, path, ".region: expected one within ", ShapeText(stored),
         ", got rows from ", region.first_row, " to ", last_row, ", columns from ",
         region.first_col, " to ", last_col);
  }
}

void TensorValidator::Linear(const std::string& path, const LinearSpec& linear, int64_t out,
                             int64_t in) {
  Matrix(path + ".weight", linear.weight, out, in);
  if (linear.bias) Bias(path + ".bias", linear, out);
}

void TensorValidator::Bias(const std::string& path, const LinearSpec& linear, int64_t length) {
  const TensorRef& bias = *linear.bias;
  if (linear.bias_step == linear.bias_group) return Tensor(path, bias, {length});
  Tensor(path, bias, bias.shape);
  const bool ordered = linear.bias_group >= 1 && linear.bias_step >= linear.bias_group;
  if (ordered && bias.shape.size() == 1 && linear.BiasElement(length - 1) < bias.shape[0]) return;
  Fail(ErrorCode::kCorruptCheckpoint, "tensor ", bias.name, " (", path, "): expected ", length,
       " elements in groups of ", linear.bias_group, " at steps of ", linear.bias_step,
       ", got shape ", ShapeText(bias.shape));
}

void TensorValidator::Norm(const std::string& path, const NormSpec& norm, int64_t width) {
  if (norm.weight) Tensor(path + ".weight", *norm.weight, {width});
  if (norm.bias) Tensor(path + ".bias", *norm.bias, {width});
  if (norm.bias && norm.kind != NormKind::kLayer) {
    Fail(ErrorCode::kUnsupported, path, ".bias: of a norm that is no layer norm, which is not ",
         "supported");
  }
  CheckFinite(path + ".weightOffset", norm.weight_offset);
  CheckFinite(path + ".weightMultiplier", norm.weight_multiplier);
  CheckFromZero(path + ".epsilon", norm.epsilon);
}

}  // namespace conclave
