#include "kernels/reference/matmul_reference.h"

#include <cmath>
#include <cstring>

#include "conclave/base/number_formats.h"

namespace conclave {

std::vector<double> ReferenceWeights(const SourceMatrix& source) {
  std::vector<double> out;
  const auto* bytes = static_cast<const uint8_t*>(source.data);
  for (int64_t row = 0; row < source.rows; ++row) {
    for (int64_t col = 0; col < source.cols; ++col) {
      const int64_t index = row * source.stride + col;
      if (source.type == SourceType::kF32) {
        float value;
        std::memcpy(&value, bytes + index * 4, 4);
        out.push_back(value);
      } else {
        uint16_t value;
        std::memcpy(&value, bytes + index * 2, 2);
        out.push_back(source.type == SourceType::kF16 ? F16ToFloat(value) : Bf16ToFloat(value));
      }
    }
  }
  return out;
}

std::vector<double> ReferenceMatmul(const std::vector<double>& w, int64_t rows, int64_t cols,
                                    const std::vector<double>& x) {
  const int64_t m = static_cast<int64_t>(x.size()) / cols;
  std::vector<double> out(static_cast<size_t>(m * rows));
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < rows; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < cols; ++k) {
        sum += x[static_cast<size_t>(i * cols + k)] * w[static_cast<size_t>(j * cols + k)];
      }
      out[static_cast<size_t>(i * rows + j)] = sum;
    }
  }
  return out;
}

std::vector<double> ReferenceSwiGlu(const std::vector<double>& gate,
                                    const std::vector<double>& up) {
  std::vector<double> out(gate.size());
  for (size_t i = 0; i < gate.size(); ++i) out[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
  return out;
}

}  // namespace conclave
