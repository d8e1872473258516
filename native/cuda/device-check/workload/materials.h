#pragma once

// Random weights and activations for the operations of a layer.

#include <memory>
#include <vector>

#include "conclave/backend/backend.h"
#include "cuda/device-check/workload/workload.h"

namespace conclave::device_check {

constexpr WeightsFormat kFormat = WeightsFormat::kBF16;

class Materials {
 public:
  Materials(Backend& backend, const ModelShape& shape, int64_t most_rows);
  ~Materials() { backend.Synchronise(); }

  Backend& backend;
  const ModelShape shape;
  const int64_t most_rows;
  Arena arena;
  // Of the layer: rows, the same after a norm, and the grids of the rows.
  Tensor input;
  Tensor normed;
  Grid grid;

  Tensor Activations(int64_t width);
  MatrixPtr Weights(int64_t rows, int64_t cols);
  FfnPtr Expert();

 private:
  uint32_t seed_ = 1;
};

// Bytes of so many floats.
inline double Floats(double count) { return 4 * count; }

Operation Norm(Materials& materials);
Operation Linear(Materials& materials, const std::string& name, int64_t out, const Tensor& x,
                 int64_t most_rows);
Operation Gate(Materials& materials);
// Up to 256 rows decode, each after a context of its own; more are one prompt.
Operation Attention(Materials& materials);
// Row r goes to top_k neighbours from r * 37 on: every expert is hit before any is hit twice as
// often.
Operation Experts(Materials& materials);

}  // namespace conclave::device_check
