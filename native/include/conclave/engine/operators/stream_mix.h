#pragma once

#include <cstdint>

#include "conclave/engine/tensor_loader.h"

namespace conclave {

// How a block, or the head, reads the residual's streams, and how a block writes them: by weights
// that each row's streams give.
class StreamMix {
 public:
  StreamMix(TensorLoader& loader, const ModelSpec& model, const StreamMixSpec& spec);

  // Of a row.
  int64_t weights() const { return weight_->rows(); }
  // weights [rows, weights()] of x [rows, streams * H], and output [rows, H]: the streams' sum.
  void Read(Backend& backend, const Tensor& x, const Tensor& weights, const Tensor& output) const;
  // Mixes the streams x, and adds y [rows, H] to each.
  void Write(Backend& backend, const Tensor& weights, const Tensor& y, const Tensor& x) const {
    backend.WriteStreams(params_, weights, y, x);
  }

  uint64_t weight_bytes() const {
    return weight_->bytes() + ones_->bytes() + base_->bytes() + scale_->bytes();
  }

 private:
  StreamParams params_;
  float norm_epsilon_;
  MatrixPtr weight_;
  VectorPtr ones_;  // the norm's
  VectorPtr base_, scale_;
};

}  // namespace conclave
