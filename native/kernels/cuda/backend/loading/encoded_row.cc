#include "kernels/cuda/backend/loading/encoded_row.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "conclave/base/number_formats.h"

namespace conclave::cuda {
namespace {

// Groups of smaller numbers are zeros, as their scale's inverse would be infinite.
constexpr float kLeastLargest = 1e-30f;

int64_t RoundedUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

Storage StorageOf(const MatrixSource& source, WeightsFormat format) {
  if (format == WeightsFormat::kBF16) return Storage::kBf16;
  if (format == WeightsFormat::kF32) {
    if (source.coded() || source.type() == SourceType::kF32) return Storage::kF32;
    return source.type() == SourceType::kF16 ? Storage::kF16 : Storage::kWideBf16;
  }
  const CodeKind codes = source.codes();
  if (format == WeightsFormat::kQ8 || codes == CodeKind::kWide) return Storage::kQ8;
  if (codes == CodeKind::kZeros) return Storage::kQ4Zeros;
  return codes == CodeKind::kE2M1 ? Storage::kQ4Float : Storage::kQ4;
}

int64_t StrideOf(Storage storage, int64_t cols) {
  if (IsExact(storage)) return cols;
  return RoundedUp(cols, IsQuantised(storage) ? kQuantisedGroup : 8);
}

size_t RowBytes(Storage storage, int64_t stride) {
  const auto elements = static_cast<size_t>(stride);
  if (storage == Storage::kF32) return elements * 4;
  if (storage <= Storage::kBf16) return elements * 2;
  return storage == Storage::kQ8 ? elements : elements / 2;
}

RowEncoder::RowEncoder(MatrixSource& source, Storage storage)
    : source_(source), storage_(storage), cols_(source.cols()) {
  const auto padded = static_cast<size_t>(RoundedUp(cols_, kQuantisedGroup));
  values_.resize(padded);
  codes_.resize(padded);
  scales_.resize(padded / kQuantisedGroup);
  zeros_.resize(padded / kQuantisedGroup);
}

void RowEncoder::Encode(int64_t row, uint8_t* output) {
  auto* const halves = reinterpret_cast<uint16_t*>(output);
  const auto count = static_cast<size_t>(cols_);
  if (storage_ == Storage::kBf16) {
    source_.Bf16(row, halves);
    // Kernels multiply by whole strides.
    std::fill(halves + cols_, halves + StrideOf(storage_, cols_), uint16_t{0});
    return;
  }
  if (!IsExact(storage_) && storage_ != Storage::kQ8) return Encode4(row, output);
  source_.Floats(row, values_.data());
  if (storage_ == Storage::kF32) std::memcpy(output, values_.data(), count * sizeof(float));
  if (storage_ == Storage::kF16)
    std::transform(values_.begin(), values_.begin() + cols_, halves, FloatToF16);
  if (storage_ == Storage::kWideBf16)
    std::transform(values_.begin(), values_.begin() + cols_, halves, FloatToBf16);
  if (storage_ == Storage::kQ8) Quantise8(reinterpret_cast<int8_t*>(output));
}

void RowEncoder::Quantise8(int8_t* output) {
  for (size_t group = 0; group < scales_.size(); ++group) {
    const float* const x = values_.data() + group * kQuantisedGroup;
    float largest = 0;
    for (int i = 0; i < kQuantisedGroup; ++i) largest = std::max(largest, std::abs(x[i]));
    const bool usable = largest >= kLeastLargest;
    const float inverse = usable ? 127 / largest : 0;
    scales_[group] = usable ? largest / 127 : 0;
    for (int i = 0; i < kQuantisedGroup; ++i)
      *output++ = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
  }
}

void RowEncoder::Quantise4() {
  for (size_t group = 0; group < scales_.size(); ++group) {
    const float* const x = values_.data() + group * kQuantisedGroup;
    const float largest = *std::max_element(
        x, x + kQuantisedGroup, [](float a, float b) { return std::abs(a) < std::abs(b); });
    const float scale = F16ToFloat(FloatToF16(largest / -8));
    scales_[group] = scale;
    for (int i = 0; i < kQuantisedGroup; ++i) {
      const float steps = scale == 0 ? 0 : std::nearbyint(x[i] / scale);
      codes_[group * kQuantisedGroup + static_cast<size_t>(i)] =
          static_cast<uint8_t>(std::clamp(steps, -8.0f, 7.0f) + 8);
    }
  }
}

// Byte j of a group holds elements j (lower bits) and j + 16.
void RowEncoder::Encode4(int64_t row, uint8_t* output) {
  // Codes of columns that there are not must stand for 0.
  std::fill(codes_.begin() + cols_, codes_.end(), storage_ == Storage::kQ4Float ? 0 : 8);
  if (source_.codes() == CodeKind::kNone) {
    source_.Floats(row, values_.data());
    Quantise4();
  } else {
    source_.Codes(row, codes_.data(), scales_.data(), zeros_.data());
  }
  for (size_t first = 0; first < codes_.size(); first += kQuantisedGroup) {
    for (size_t i = 0; i < kQuantisedGroup / 2; ++i) {
      const unsigned low = codes_[first + i];
      const unsigned high = codes_[first + i + kQuantisedGroup / 2];
      *output++ = static_cast<uint8_t>(low | high << 4);
    }
  }
}

}  // namespace conclave::cuda
