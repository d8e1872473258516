#pragma once

#include "conclave/engine/tensor_loader.h"

namespace conclave {

// Weights of a short convolution over the rows of some columns.
struct Convolution {
  VectorPtr taps;  // [count * width], the oldest row's first
  VectorPtr bias;  // null: none

  Convolution() = default;
  Convolution(TensorLoader& loader, const ConvolutionSpec& spec, Range columns);
  uint64_t bytes() const { return BytesOf(taps) + BytesOf(bias); }
};

}  // namespace conclave
