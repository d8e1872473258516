#pragma once

#include <cstdint>
#include <vector>

#include "conclave/base/buffer.h"
#include "conclave/engine/compute.h"
#include "conclave/engine/layer_slice.h"
#include "conclave/model/spec.h"

namespace conclave {

// Picks the experts of each row of one layer.
class ExpertGate {
 public:
  ExpertGate(TensorLoader& loader, const MoeSpec& spec);

  int experts() const { return experts_; }
  int top_k() const { return top_k_; }

  // ids, weights [rows, top_k] of input [rows, H]. Throws kNonFinite when a row's logits have a NaN
  // or an infinity.
  void Forward(Compute& compute, Buffer<float>& logits, const float* input, int64_t rows,
               int32_t* ids, float* weights) const;

  uint64_t weight_bytes() const { return weight_.bytes(); }

 private:
  PackedMatrix weight_;
  int experts_;
  int top_k_;
  GateScoring scoring_;
  float multiplier_;
};

}  // namespace conclave
