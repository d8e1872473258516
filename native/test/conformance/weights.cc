#include "conformance/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "conclave/base/number_formats.h"

namespace conclave {
namespace {

constexpr double kHalfUlp = 0x1p-24;

// value / 256 for |value| < 256 is exact in f16.
uint16_t F16FromSmallInteger(int value) {
  const auto magnitude = static_cast<float>(std::abs(value)) / 256;
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    if (F16ToFloat(static_cast<uint16_t>(bits)) == magnitude)
      return static_cast<uint16_t>(bits | (value < 0 ? 0x8000 : 0));
  }
  return 0;
}

const std::vector<uint16_t>& F16Numbers() {
  static const std::vector<uint16_t> numbers = [] {
    std::vector<uint16_t> table;
    for (int i = -255; i < 256; ++i) table.push_back(F16FromSmallInteger(i));
    return table;
  }();
  return numbers;
}

// Scales and zeros that f16 holds.
constexpr float kScale = 0x1p-6f;

float ValueOf(CodeKind kind, uint8_t code, float zero) {
  constexpr float kE2M1[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  if (kind == CodeKind::kE2M1) return code < 8 ? kE2M1[code] : -kE2M1[code - 8];
  return static_cast<float>(code) - zero;
}

double GroupStep(const double* x, int64_t first, int64_t cols) {
  double largest = 0;
  for (int64_t k = first; k < std::min(first + 32, cols); ++k)
    largest = std::max(largest, std::abs(x[k]));
  return largest / 254;
}

}  // namespace

const std::vector<Format>& Formats() {
  static const std::vector<Format> formats = {
      {"f32 from f32", SourceType::kF32, WeightsFormat::kF32},
      {"f32 from f16", SourceType::kF16, WeightsFormat::kF32},
      {"f32 from bf16", SourceType::kBF16, WeightsFormat::kF32},
      {"bf16 from f32", SourceType::kF32, WeightsFormat::kBF16},
      {"bf16 from f16", SourceType::kF16, WeightsFormat::kBF16},
      {"bf16 from bf16", SourceType::kBF16, WeightsFormat::kBF16},
      {"q8 from f32", SourceType::kF32, WeightsFormat::kQ8},
      {"q8 from f16", SourceType::kF16, WeightsFormat::kQ8},
      {"q8 from bf16", SourceType::kBF16, WeightsFormat::kQ8},
      {"q4 from f32", SourceType::kF32, WeightsFormat::kQ4},
      {"q4 from bf16", SourceType::kBF16, WeightsFormat::kQ4},
      {"q4 from codes", SourceType::kF32, WeightsFormat::kQ4, CodeKind::kSigned},
      {"q4 from codes with zeros", SourceType::kF32, WeightsFormat::kQ4, CodeKind::kZeros},
      {"q4 from floats of 4 bits", SourceType::kF32, WeightsFormat::kQ4, CodeKind::kE2M1},
  };
  return formats;
}

RandomMatrix::RandomMatrix(SourceType type, int64_t rows, int64_t cols, uint32_t seed)
    : type_(type),
      rows_(rows),
      cols_(cols),
      bytes_(static_cast<size_t>(rows * (cols + kGap)) * ElementBytes(type) + 1) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t col = 0; col < cols; ++col) {
      const float value = uniform(random);
      const uint16_t half = type == SourceType::kBF16
                                ? FloatToBf16(value)
                                : F16Numbers()[random() % F16Numbers().size()];
      std::memcpy(at(row, col), type == SourceType::kF32 ? static_cast<const void*>(&value) : &half,
                  ElementBytes(type));
    }
  }
}

RandomMatrix::RandomMatrix(const Format& format, int64_t rows, int64_t cols, uint32_t seed)
    : RandomMatrix(format.source, rows, cols, seed) {
  kind_ = format.codes;
  if (kind_ == CodeKind::kNone) return;
  const int64_t groups = (cols - 1) / 32 + 1;
  std::mt19937 random(seed);
  for (int64_t i = 0; i < rows * groups; ++i) {
    scales_.push_back(kScale * static_cast<float>(1 + random() % 16));
    zeros_.push_back(kind_ == CodeKind::kZeros ? static_cast<float>(random() % 16) : 8);
  }
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t col = 0; col < cols; ++col) {
      const auto group = static_cast<size_t>(row * groups + col / 32);
      codes_.push_back(static_cast<uint8_t>(random() % 16));
      const float value = ValueOf(kind_, codes_.back(), zeros_[group]) * scales_[group];
      std::memcpy(at(row, col), &value, 4);
    }
  }
}

void TestSource::Codes(int64_t row, uint8_t* codes, float* scales, float* zeros) {
  const int64_t groups = (cols() - 1) / 32 + 1;
  std::copy_n(codes_.begin() + row * cols(), cols(), codes);
  std::copy_n(scales_.begin() + row * groups, groups, scales);
  if (kind_ == CodeKind::kZeros) std::copy_n(zeros_.begin() + row * groups, groups, zeros);
}

uint8_t* RandomMatrix::at(int64_t row, int64_t col) {
  return bytes_.data() + 1 + static_cast<size_t>(row * (cols_ + kGap) + col) * ElementBytes(type_);
}

std::vector<double> RandomMatrix::values() const {
  std::vector<double> all;
  std::vector<float> row(static_cast<size_t>(cols_));
  TestSource elements = source();
  for (int64_t r = 0; r < rows_; ++r) {
    elements.Floats(r, row.data());
    all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}

double ProductBound(const double* x, const double* w, int64_t cols, const Format& format) {
  double magnitude = 0;
  double quantised = 0;
  for (int64_t k = 0; k < cols; ++k) {
    magnitude += std::abs(x[k] * w[k]);
    if (format.format != WeightsFormat::kQ8 && format.format != WeightsFormat::kQ4) continue;
    const double dx = GroupStep(x, k / 32 * 32, cols);
    double dw = GroupStep(w, k / 32 * 32, cols);
    if (format.format == WeightsFormat::kQ4) dw *= 254.0 / 8 * (1 + 0x1p-8);
    if (format.codes != CodeKind::kNone) dw = 0;
    quantised += std::abs(x[k]) * dw + std::abs(w[k]) * dx + dx * dw;
  }
  const double sums = static_cast<double>(cols + 8) * kHalfUlp * (magnitude + quantised);
  switch (format.format) {
    case WeightsFormat::kF32:
      return sums;
    case WeightsFormat::kBF16:
      return sums + 2.01 * 0x1p-9 * magnitude;
    case WeightsFormat::kQ8:
    case WeightsFormat::kQ4:
      return sums + quantised * (1 + 0x1p-20);
  }
  return 0;
}

std::vector<double> ExactProduct(const std::vector<double>& w, int64_t rows, int64_t cols,
                                 const std::vector<double>& x) {
  const int64_t m = static_cast<int64_t>(x.size()) / cols;
  std::vector<double> out(static_cast<size_t>(m * rows));
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < rows; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < cols; ++k)
        sum += x[static_cast<size_t>(i * cols + k)] * w[static_cast<size_t>(j * cols + k)];
      out[static_cast<size_t>(i * rows + j)] = sum;
    }
  }
  return out;
}

}  // namespace conclave
