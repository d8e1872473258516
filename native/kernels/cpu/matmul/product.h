#pragma once

// What tasks of the matmuls do: a linear map, or the first half of a feed-forward network.

#include <cstdint>

#include "kernels/cpu/matmul/layout.h"
#include "kernels/cpu/matmul/matmul.h"
#include "kernels/cpu/matmul/tasks.h"
#include "kernels/cpu/matmul/tile.h"

namespace conclave {

// output[rows, w.rows] = activations W^T (+ bias).
struct Product {
  const PackedMatrix::Layout& w;
  const uint8_t* activations;
  int64_t activation_stride;  // bytes
  int64_t rows;
  const float* bias;  // [w.rows] or null
  float* output;

  // scratch: ScratchBytes.
  void Run(const MatmulTask& task, float* scratch) const;
};

// intermediate[rows, I] = act(gate, up), encoded as down reads it.
struct GateUp {
  bool has_gate;
  Product gate;  // without output, as up; where there is none, as up
  Product up;
  ActivationParams activation;
  EncodeRows encode;
  int64_t padded_width;  // I, as encoded
  uint8_t* intermediate;
  int64_t intermediate_stride;  // bytes

  // Panels that are activated and encoded together; tasks begin at multiples of it.
  static int64_t UnitPanels(const TileKernels& tiles);

  // scratch: ScratchBytes.
  void Run(const MatmulTask& task, float* scratch) const;
};

// Scratch memory of each thread for a task of either kind.
size_t ScratchBytes(const TileKernels& tiles);

}  // namespace conclave
