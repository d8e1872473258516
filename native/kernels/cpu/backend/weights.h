#pragma once

#include <array>

#include "conclave/backend/weights.h"
#include "kernels/cpu/matmul/matmul.h"

namespace conclave {

class CpuMatrix final : public Matrix {
 public:
  explicit CpuMatrix(PackedMatrix packed) : packed_(std::move(packed)) {}
  int64_t rows() const override { return packed_.rows(); }
  int64_t cols() const override { return packed_.cols(); }
  size_t bytes() const override { return packed_.bytes(); }
  const PackedMatrix& packed() const { return packed_; }

 private:
  PackedMatrix packed_;
};

class CpuFfn final : public Ffn {
 public:
  CpuFfn(FfnWeights weights, std::array<VectorPtr, 3> biases);
  size_t bytes() const override;
  const FfnWeights& weights() const { return weights_; }

 private:
  FfnWeights weights_;
  std::array<VectorPtr, 3> biases_;  // of gate, up and down, which the weights point to
};

inline const PackedMatrix& PackedOf(const Matrix& matrix) {
  return static_cast<const CpuMatrix&>(matrix).packed();
}

inline const FfnWeights& WeightsOf(const Ffn& ffn) {
  return static_cast<const CpuFfn&>(ffn).weights();
}

}  // namespace conclave
