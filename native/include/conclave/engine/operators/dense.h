#pragma once

#include <cstdint>

#include "conclave/engine/tensor_loader.h"
#include "conclave/model/spec.h"

namespace conclave {

// Part of the intermediate dimension of a dense network or a shared expert.
class DenseOperator {
 public:
  DenseOperator(TensorLoader& loader, const DenseSpec& spec, Range width);

  // output [rows, H] = this share's part times the multiplier, and sigmoid of the output gate where
  // there is one.
  void Forward(Backend& backend, const Tensor& input, const Tensor& output) const;

  uint64_t weight_bytes() const { return ffn_->bytes() + (gate_ ? gate_->bytes() : 0); }
  static uint64_t SourceBytes(const DenseSpec& spec);

 private:
  FfnPtr ffn_;
  float multiplier_;
  MatrixPtr gate_;  // [1, H]; null: none
};

}  // namespace conclave
