#include "binding/convert/read_matrix.h"

namespace conclave::binding {
namespace {

// What the encoding of a matrix may need beside its elements, and the engine does not read.
constexpr const char* kUnreadParts[] = {"scales", "zeros", "groupIndex", "globalScale"};

TensorRef ReadTensor(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  TensorRef tensor;
  tensor.name = fields.String("name");
  tensor.file = static_cast<uint32_t>(fields.Integer("file", 0, kMaxUint32));
  tensor.offset = static_cast<uint64_t>(fields.Integer("offset", 0, kMaxSafeInteger));
  tensor.type = ReadSourceType(fields.Get("dtype"), fields.PathOf("dtype"));
  tensor.shape = fields.Map("shape", [](Napi::Value length, const std::string& at) {
    return ReadInteger(length, at, 0, kMaxUint32);
  });
  return tensor;
}

TensorRef ReadTensor(const Fields& fields, const char* key) {
  return ReadTensor(fields.Get(key), fields.PathOf(key));
}

}  // namespace

SourceType ReadSourceType(Napi::Value value, const std::string& path) {
  return ReadEnum<SourceType>(value, path,
                              {{"DATA_TYPE_F32", SourceType::kF32},
                               {"DATA_TYPE_F16", SourceType::kF16},
                               {"DATA_TYPE_BF16", SourceType::kBF16}});
}

std::optional<TensorRef> ReadOptionalTensor(const Fields& parent, const char* key) {
  return parent.Has(key) ? std::optional(ReadTensor(parent, key)) : std::nullopt;
}

MatrixSpec ReadMatrix(const Fields& parent, const char* key) {
  const Fields fields = parent.Object(key);
  ReadEnum<bool>(fields, "encoding", {{"MATRIX_ENCODING_PLAIN", true}});
  for (const char* part : kUnreadParts) {
    if (!fields.Has(part)) continue;
    throw Error(ErrorCode::kUnsupported,
                fields.PathOf(part) + ": the engine does not know matrices with " + part);
  }
  MatrixSpec matrix{ReadTensor(fields, "data")};
  const std::vector<int64_t> shape{fields.Integer("rows", 0, kMaxUint32),
                                   fields.Integer("cols", 0, kMaxUint32)};
  if (fields.Has("region")) {
    const Fields region = fields.Object("region");
    matrix.region = {.rows = shape[0],
                     .cols = shape[1],
                     .first_row = region.Integer("firstRow", 0, kMaxUint32),
                     .row_step = region.Integer("rowStep", 1, kMaxUint32),
                     .first_col = region.Integer("firstCol", 0, kMaxUint32),
                     .transposed = region.Boolean("transposed")};
  } else if (matrix.data.shape != shape) {
    throw Error(ErrorCode::kCorruptCheckpoint, "tensor " + matrix.data.name + " (" + fields.path() +
                                                   ".data): expected shape [rows, cols]");
  }
  return matrix;
}

LinearSpec ReadLinear(const Fields& parent, const char* key) {
  const Fields fields = parent.Object(key);
  LinearSpec linear;
  linear.weight = ReadMatrix(fields, "weight");
  linear.bias = ReadOptionalTensor(fields, "bias");
  linear.bias_step = fields.Integer("biasStep", 1, kMaxUint32);
  return linear;
}

NormSpec ReadNorm(const Fields& parent, const char* key) {
  const Fields fields = parent.Object(key);
  NormSpec norm;
  norm.kind = ReadEnum<NormKind>(
      fields, "kind", {{"NORM_KIND_RMS", NormKind::kRms}, {"NORM_KIND_LAYER", NormKind::kLayer}});
  norm.weight = ReadOptionalTensor(fields, "weight");
  norm.weight_offset = fields.Float("weightOffset");
  norm.bias = ReadOptionalTensor(fields, "bias");
  norm.epsilon = fields.Float("epsilon");
  return norm;
}

}  // namespace conclave::binding
