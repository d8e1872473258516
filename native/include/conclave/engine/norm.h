#pragma once

#include <vector>

#include "conclave/engine/tensor_loader.h"

namespace conclave {

// Norm over the last dimension, or over parts of it that are `width` wide.
struct Norm {
  Norm(TensorLoader& loader, const NormSpec& spec, int64_t width)
      : kind(spec.kind),
        weight(loader.NormWeight(spec, {0, width})),
        bias(loader.Vector(spec.bias, {0, width})),
        epsilon(spec.epsilon) {}

  void Forward(Backend& backend, const Tensor& x, const Tensor& output,
               const GridOutput* grid = nullptr) const {
    if (kind == NormKind::kLayer) {
      backend.LayerNorm(x, *weight, bias.get(), epsilon, output, grid);
    } else {
      backend.RmsNorm(x, *weight, epsilon, output, grid);
    }
  }

  uint64_t bytes() const { return weight->bytes() + BytesOf(bias); }

  NormKind kind;
  VectorPtr weight;
  VectorPtr bias;  // null: none
  float epsilon;
};

}  // namespace conclave
