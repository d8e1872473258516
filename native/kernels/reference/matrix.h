#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "conclave/backend/backend.h"
#include "conclave/base/matrix_source.h"
#include "conclave/base/operator_parameters.h"

namespace conclave {

// Weights as their format holds them. q8 and q4: numbers, and a scale for each group of 32 columns.
class ReferenceMatrix final : public Matrix {
 public:
  ReferenceMatrix(MatrixSource& source, WeightsFormat format);

  int64_t rows() const override { return rows_; }
  int64_t cols() const override { return cols_; }
  size_t bytes() const override { return (values_.size() + scales_.size()) * sizeof(float); }
  // x W^T of one row x [cols].
  std::vector<float> Multiply(const float* x) const;

 private:
  WeightsFormat format_;
  int64_t rows_;
  int64_t cols_;
  std::vector<float> values_;
  std::vector<float> scales_;

  void ReadQ4(MatrixSource& source, int64_t row);
};

class ReferenceFfn final : public Ffn {
 public:
  ReferenceFfn(const FfnSource& source, WeightsFormat format);

  size_t bytes() const override {
    return (gate_ ? gate_->bytes() : 0) + up_.bytes() + down_.bytes();
  }
  // down(act(gate(x), up(x))) of one row.
  std::vector<float> Forward(const float* x) const;

 private:
  std::optional<ReferenceMatrix> gate_;
  ReferenceMatrix up_;
  ReferenceMatrix down_;
  VectorPtr gate_bias_;
  VectorPtr up_bias_;
  VectorPtr down_bias_;
  ActivationParams activation_;
};

}  // namespace conclave
