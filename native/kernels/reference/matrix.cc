#include "kernels/reference/matrix.h"

#include <algorithm>
#include <cmath>

#include "conclave/backend/host_backend.h"
#include "conclave/base/number_formats.h"
#include "kernels/reference/rows.h"

namespace conclave {
namespace {

constexpr int64_t kGroup = 32;

// Replaces a row by integers in [-127, 127] and appends the scale of each group: its largest
// magnitude / 127. A group of magnitudes below 1e-30 is zeros, one with a NaN or an infinity NaN.
void Quantise(float* row, int64_t cols, std::vector<float>* scales) {
  for (int64_t first = 0; first < cols; first += kGroup) {
    const int64_t end = std::min(first + kGroup, cols);
    float largest = 0;
    bool finite = true;
    for (int64_t i = first; i < end; ++i) {
      finite = finite && std::isfinite(row[i]);
      largest = std::max(largest, std::abs(row[i]));
    }
    const bool usable = finite && largest >= 1e-30f;
    const float inverse = usable ? 127 / largest : 0;
    for (int64_t i = first; i < end; ++i) row[i] = usable ? std::nearbyint(row[i] * inverse) : 0;
    scales->push_back(usable ? largest / 127 : finite ? 0 : std::nanf(""));
  }
}

std::vector<float> AddBias(std::vector<float> y, const VectorPtr& bias) {
  for (size_t i = 0; bias && i < y.size(); ++i) y[i] += HostPointer(*bias)[i];
  return y;
}

}  // namespace

ReferenceMatrix::ReferenceMatrix(MatrixSource& source, WeightsFormat format)
    : format_(format == WeightsFormat::kQ4 && source.codes() == CodeKind::kWide ? WeightsFormat::kQ8
                                                                                : format),
      rows_(source.rows()),
      cols_(source.cols()),
      values_(static_cast<size_t>(rows_ * cols_)) {
  for (int64_t r = 0; r < rows_; ++r) {
    float* const row = values_.data() + r * cols_;
    if (format_ == WeightsFormat::kQ4) {
      ReadQ4(source, r);
    } else if (format_ == WeightsFormat::kBF16) {
      std::vector<uint16_t> rounded(static_cast<size_t>(cols_));
      source.Bf16(r, rounded.data());
      std::transform(rounded.begin(), rounded.end(), row, Bf16ToFloat);
    } else {
      source.Floats(r, row);
    }
    if (format_ == WeightsFormat::kQ8) Quantise(row, cols_, &scales_);
  }
}

// In codes of 4 bits: those of the source, or else steps of a scale by which the largest element is
// -8. Scales and zeros in f16.
void ReferenceMatrix::ReadQ4(MatrixSource& source, int64_t row) {
  const int64_t groups = (cols_ + kGroup - 1) / kGroup;
  const CodeKind kind = source.codes();
  float* const values = values_.data() + row * cols_;
  std::vector<uint8_t> codes(static_cast<size_t>(cols_));
  std::vector<float> scales(static_cast<size_t>(groups));
  std::vector<float> zeros(static_cast<size_t>(groups), 8.0f);
  if (kind == CodeKind::kNone) {
    source.Floats(row, values);
  } else {
    source.Codes(row, codes.data(), scales.data(), zeros.data());
  }
  for (int64_t i = 0; i < cols_; ++i) {
    const auto group = static_cast<size_t>(i / kGroup);
    if (kind == CodeKind::kNone && i % kGroup == 0) {
      float* const end = values + std::min(i + kGroup, cols_);
      const float largest = *std::max_element(
          values + i, end, [](float a, float b) { return std::abs(a) < std::abs(b); });
      scales[group] = F16ToFloat(FloatToF16(largest / -8));
    }
    if (kind == CodeKind::kE2M1) {
      constexpr float kMagnitudes[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
      const uint8_t code = codes[static_cast<size_t>(i)];
      values[i] = code < 8 ? kMagnitudes[code] : -kMagnitudes[code - 8];
    } else if (kind == CodeKind::kNone) {
      const float steps = scales[group] == 0 ? 0 : std::nearbyint(values[i] / scales[group]);
      values[i] = std::clamp(steps, -8.0f, 7.0f);
    } else {
      values[i] = static_cast<float>(codes[static_cast<size_t>(i)]) -
                  (kind == CodeKind::kZeros ? F16ToFloat(FloatToF16(zeros[group])) : 8);
    }
  }
  for (const float scale : scales) scales_.push_back(F16ToFloat(FloatToF16(scale)));
}

std::vector<float> ReferenceMatrix::Multiply(const float* x) const {
  std::vector<float> input(x, x + cols_);
  std::vector<float> input_scales;
  const bool scaled = format_ == WeightsFormat::kQ8 || format_ == WeightsFormat::kQ4;
  if (scaled) Quantise(input.data(), cols_, &input_scales);
  std::vector<float> output(static_cast<size_t>(rows_));
  const int64_t groups = (cols_ + kGroup - 1) / kGroup;
  for (int64_t r = 0; r < rows_; ++r) {
    const float* const row = values_.data() + r * cols_;
    double sum = 0;
    for (int64_t group = 0; group < groups; ++group) {
      double part = 0;
      for (int64_t i = group * kGroup; i < std::min((group + 1) * kGroup, cols_); ++i)
        part += double{input[static_cast<size_t>(i)]} * double{row[i]};
      if (scaled) {
        part *= double{input_scales[static_cast<size_t>(group)]} *
                double{scales_[static_cast<size_t>(r * groups + group)]};
      }
      sum += part;
    }
    output[static_cast<size_t>(r)] = static_cast<float>(sum);
  }
  return output;
}

ReferenceFfn::ReferenceFfn(const FfnSource& source, WeightsFormat format)
    : up_(source.up, format),
      down_(source.down, format),
      gate_bias_(source.gate_bias),
      up_bias_(source.up_bias),
      down_bias_(source.down_bias),
      activation_(source.activation) {
  if (source.gate != nullptr) gate_.emplace(*source.gate, format);
}

std::vector<float> ReferenceFfn::Forward(const float* x) const {
  const std::vector<float> up = AddBias(up_.Multiply(x), up_bias_);
  std::vector<float> hidden = gate_ ? AddBias(gate_->Multiply(x), gate_bias_) : up;
  for (size_t i = 0; i < hidden.size(); ++i) {
    hidden[i] =
        static_cast<float>(ReferenceActivation(activation_, double{hidden[i]}, double{up[i]}));
  }
  return AddBias(down_.Multiply(hidden.data()), down_bias_);
}

}  // namespace conclave
