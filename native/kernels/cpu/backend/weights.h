#pragma once

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
  explicit CpuFfn(FfnWeights weights) : weights_(std::move(weights)) {}
  size_t bytes() const override {
    return weights_.gate.bytes() + weights_.up.bytes() + weights_.down.bytes();
  }
  const FfnWeights& weights() const { return weights_; }

 private:
  FfnWeights weights_;
};

inline const PackedMatrix& PackedOf(const Matrix& matrix) {
  return static_cast<const CpuMatrix&>(matrix).packed();
}

inline const FfnWeights& WeightsOf(const Ffn& ffn) {
  return static_cast<const CpuFfn&>(ffn).weights();
}

}  // namespace conclave
