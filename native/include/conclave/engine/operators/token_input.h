#pragma once

#include <cstdint>
#include <span>

#include "conclave/engine/norm.h"
#include "conclave/model/spec.h"

namespace conclave {

// What the rows' tokens say in one layer; see TokenInputSpec in model.proto.
class TokenInputOperator {
 public:
  TokenInputOperator(TensorLoader& loader, const TokenInputSpec& spec);

  // output [rows, H] for input [rows, H]. `embedded`: what the first layer read.
  void Forward(Backend& backend, std::span<const int32_t> tokens, const Tensor& embedded,
               const Tensor& input, const Tensor& output) const;

  uint64_t weight_bytes() const;
  static uint64_t SourceBytes(const TokenInputSpec& spec);

 private:
  EmbeddingPtr embedding_;
  float embedding_multiplier_;
  Norm norm_;
  MatrixPtr projection_, gate_, output_;
  VectorPtr projection_bias_, gate_bias_, output_bias_;  // null: none
};

}  // namespace conclave
