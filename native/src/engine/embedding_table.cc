#include "conclave/engine/embedding_table.h"

#include "conclave/base/number_formats.h"

namespace conclave {

EmbeddingTable::EmbeddingTable(TensorLoader& loader, const TensorRef& tensor)
    : type_(tensor.type),
      round_to_bf16_(loader.store().format() == WeightsFormat::kBF16 &&
                     tensor.type != SourceType::kBF16),
      width_(tensor.shape[1]),
      bytes_(tensor.bytes()),
      rows_(std::make_unique_for_overwrite<uint8_t[]>(tensor.bytes())) {
  loader.Read(tensor, rows_.get());
}

void EmbeddingTable::Row(int64_t token, float* output) const {
  const size_t row_bytes = static_cast<size_t>(width_) * ElementBytes(type_);
  Widen(type_, rows_.get() + static_cast<size_t>(token) * row_bytes, width_, output);
  if (!round_to_bf16_) return;
  for (int64_t i = 0; i < width_; ++i) output[i] = Bf16ToFloat(FloatToBf16(output[i]));
}

}  // namespace conclave
