#pragma once

#include "conclave/engine/tensor_loader.h"

namespace conclave {

// RMS norm over the last dimension, or over parts of it as wide as the weight.
struct Norm {
  Norm(TensorLoader& loader, const NormSpec& spec)
      : weight(loader.Vector(spec.weight)), epsilon(spec.epsilon) {}

  void Forward(Backend& backend, const Tensor& x, const Tensor& output,
               const GridOutput* grid = nullptr) const {
    backend.RmsNorm(x, *weight, epsilon, output, grid);
  }

  VectorPtr weight;
  float epsilon;
};

}  // namespace conclave
