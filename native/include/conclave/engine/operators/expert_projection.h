#pragma once

#include <cstdint>

#include "conclave/engine/norm.h"
#include "conclave/model/spec.h"

namespace conclave {

// Around experts that read and give rows of a width of their own.
class ExpertProjection {
 public:
  // `epsilon`: of the scale of their rows.
  ExpertProjection(TensorLoader& loader, const MoeSpec& spec, float epsilon);

  int64_t width() const { return input_->rows(); }
  // narrow [rows, width()] of input [rows, H], and the grid of sums of what experts make of it.
  void Narrow(Backend& backend, const Tensor& input, const Tensor& narrow, const Grid& grid) const;
  // output [rows, H] of the experts' sum.
  void Widen(Backend& backend, const Tensor& narrow, const Tensor& output) const;

  uint64_t weight_bytes() const;
  static uint64_t SourceBytes(const MoeSpec& spec);

 private:
  MatrixPtr input_, output_;
  VectorPtr input_bias_, output_bias_;  // null: none
  Norm scale_;                          // finds the rows' scale
};

}  // namespace conclave
