#include "conclave/backend/host_embedding.h"

#include <cstring>

#include "conclave/base/number_formats.h"

namespace conclave {

HostEmbedding::HostEmbedding(MatrixSource& source, WeightsFormat format)
    : type_(format == WeightsFormat::kBF16 || (source.coded() && format != WeightsFormat::kF32)
                ? SourceType::kBF16
                : source.type()),
      width_(source.cols()),
      rows_(static_cast<size_t>(source.rows() * width_) * ElementBytes(type_)) {
  const bool converts = type_ != source.type();
  for (int64_t row = 0; row < source.rows(); ++row) {
    uint8_t* const out = rows_.data() + static_cast<size_t>(row * width_) * ElementBytes(type_);
    if (converts) {
      source.Bf16(row, reinterpret_cast<uint16_t*>(out));
    } else {
      source.Raw(row, out);
    }
  }
}

void HostEmbedding::Row(int64_t token, float* output) const {
  const uint8_t* const row =
      rows_.data() + static_cast<size_t>(token * width_) * ElementBytes(type_);
  if (type_ == SourceType::kF32) {
    std::memcpy(output, row, static_cast<size_t>(width_) * sizeof(float));
    return;
  }
  const auto* const halves = reinterpret_cast<const uint16_t*>(row);
  for (int64_t i = 0; i < width_; ++i)
    output[i] = type_ == SourceType::kBF16 ? Bf16ToFloat(halves[i]) : F16ToFloat(halves[i]);
}

}  // namespace conclave
