#include "binding/convert/read_matrix.h"

namespace conclave::binding {
namespace {

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

}  // namespace

TensorRef ReadTensor(const Fields& parent, const char* key) {
  return ReadTensor(parent.Get(key), parent.PathOf(key));
}

SourceType ReadSourceType(Napi::Value value, const std::string& path) {
  return ReadEnum<SourceType>(value, path,
                              {{"DATA_TYPE_F32", SourceType::kF32},
                               {"DATA_TYPE_F16", SourceType::kF16},
                               {"DATA_TYPE_BF16", SourceType::kBF16},
                               {"DATA_TYPE_I32", SourceType::kI32},
                               {"DATA_TYPE_I8", SourceType::kI8},
                               {"DATA_TYPE_U8", SourceType::kU8},
                               {"DATA_TYPE_F8_E4M3", SourceType::kF8E4M3},
                               {"DATA_TYPE_F8_E8M0", SourceType::kF8E8M0},
                               {"DATA_TYPE_I64", SourceType::kI64}});
}

std::optional<TensorRef> ReadOptionalTensor(const Fields& parent, const char* key) {
  return parent.Has(key) ? std::optional(ReadTensor(parent, key)) : std::nullopt;
}

namespace {

std::optional<MatrixCodes> ReadCodes(const Fields& parent, int64_t cols) {
  const auto encoding =
      ReadEnum<MatrixEncoding>(parent, "encoding",
                               {{"MATRIX_ENCODING_PLAIN", MatrixEncoding::kPlain},
                                {"MATRIX_ENCODING_SCALED", MatrixEncoding::kScaled},
                                {"MATRIX_ENCODING_PACKED_ROWS", MatrixEncoding::kPackedRows},
                                {"MATRIX_ENCODING_GPTQ", MatrixEncoding::kGptq},
                                {"MATRIX_ENCODING_AWQ", MatrixEncoding::kAwq},
                                {"MATRIX_ENCODING_FP4", MatrixEncoding::kFp4},
                                {"MATRIX_ENCODING_BLOCKS", MatrixEncoding::kBlocks}});
  if (encoding == MatrixEncoding::kPlain) return std::nullopt;
  const Fields fields = parent.Object("codes");
  const auto block_type = encoding != MatrixEncoding::kBlocks
                              ? BlockType::kQ4_0
                              : ReadEnum<BlockType>(fields, "blockType",
                                                    {{"BLOCK_TYPE_Q4_0", BlockType::kQ4_0},
                                                     {"BLOCK_TYPE_Q4_1", BlockType::kQ4_1},
                                                     {"BLOCK_TYPE_Q5_0", BlockType::kQ5_0},
                                                     {"BLOCK_TYPE_Q5_1", BlockType::kQ5_1},
                                                     {"BLOCK_TYPE_Q8_0", BlockType::kQ8_0},
                                                     {"BLOCK_TYPE_Q2_K", BlockType::kQ2K},
                                                     {"BLOCK_TYPE_Q3_K", BlockType::kQ3K},
                                                     {"BLOCK_TYPE_Q4_K", BlockType::kQ4K},
                                                     {"BLOCK_TYPE_Q5_K", BlockType::kQ5K},
                                                     {"BLOCK_TYPE_Q6_K", BlockType::kQ6K},
                                                     {"BLOCK_TYPE_IQ4_NL", BlockType::kIq4Nl},
                                                     {"BLOCK_TYPE_IQ4_XS", BlockType::kIq4Xs},
                                                     {"BLOCK_TYPE_MXFP4", BlockType::kMxfp4}});
  return MatrixCodes{.encoding = encoding,
                     .rows = fields.Integer("rows", 1, kMaxUint32),
                     .cols = cols,
                     .bits = static_cast<int>(fields.Integer("bits", 2, 8)),
                     .block_rows = fields.Integer("blockRows", 1, kMaxUint32),
                     .block_cols = fields.Integer("blockCols", 1, kMaxUint32),
                     .zero_offset = static_cast<int>(fields.Integer("zeroOffset", 0, 1)),
                     .divides = fields.Boolean("divides"),
                     .block_type = block_type,
                     .scales = ReadOptionalTensor(parent, "scales"),
                     .zeros = ReadOptionalTensor(parent, "zeros"),
                     .group_index = ReadOptionalTensor(parent, "groupIndex"),
                     .global_scale = ReadOptionalTensor(parent, "globalScale")};
}

}  // namespace

MatrixSpec ReadMatrix(const Fields& parent, const char* key) {
  const Fields fields = parent.Object(key);
  MatrixSpec matrix{ReadTensor(fields, "data")};
  const std::vector<int64_t> shape{fields.Integer("rows", 0, kMaxUint32),
                                   fields.Integer("cols", 0, kMaxUint32)};
  matrix.codes = ReadCodes(fields, shape[1]);
  if (fields.Has("region")) {
    const Fields region = fields.Object("region");
    matrix.region = {.rows = shape[0],
                     .cols = shape[1],
                     .first_row = region.Integer("firstRow", 0, kMaxUint32),
                     .row_step = region.Integer("rowStep", 1, kMaxUint32),
                     .first_col = region.Integer("firstCol", 0, kMaxUint32),
                     .transposed = region.Boolean("transposed"),
                     .row_group = region.Integer("rowGroup", 1, kMaxUint32)};
  } else if (!matrix.codes && matrix.data.shape != shape) {
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
  linear.bias_group = fields.Integer("biasGroup", 1, kMaxUint32);
  return linear;
}

NormSpec ReadNorm(const Fields& parent, const char* key) {
  const Fields fields = parent.Object(key);
  NormSpec norm;
  norm.kind = ReadEnum<NormKind>(
      fields, "kind", {{"NORM_KIND_RMS", NormKind::kRms}, {"NORM_KIND_LAYER", NormKind::kLayer}});
  norm.weight = ReadOptionalTensor(fields, "weight");
  norm.weight_offset = fields.Float("weightOffset");
  norm.weight_multiplier = fields.Float("weightMultiplier");
  norm.bias = ReadOptionalTensor(fields, "bias");
  norm.epsilon = fields.Float("epsilon");
  return norm;
}

}  // namespace conclave::binding
