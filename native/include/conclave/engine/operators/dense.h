#pragma once

#include <cstdint>

#include "conclave/engine/tensor_loader.h"
#include "conclave/model/spec.h"

namespace conclave {

// Part of the intermediate dimension of one layer's dense network or shared expert.
class DenseOperator {
 public:
  DenseOperator(TensorLoader& loader, const LayerSpec& spec, Range width);

  // output [rows, H] = this share's part, times sigmoid of the shared expert's gate where there is
  // one.
  void Forward(Backend& backend, const Tensor& input, const Tensor& output) const;

  uint64_t weight_bytes() const { return ffn_->bytes() + (gate_ ? gate_->bytes() : 0); }
  static uint64_t SourceBytes(const LayerSpec& spec);

 private:
  FfnPtr ffn_;
  MatrixPtr gate_;  // [1, H]; null: none
};

}  // namespace conclave
