#pragma once

#include <cstdint>

#include "conclave/base/element_types.h"

namespace conclave {

// A matrix on its way from a checkpoint to a backend, [rows, cols] without gaps. Each row is asked
// for once, in ascending order. Rows throw kNonFinite when an element is NaN or infinite, and what
// reading the checkpoint throws.
class MatrixSource {
 public:
  virtual ~MatrixSource() = default;
  virtual SourceType type() const = 0;
  virtual int64_t rows() const = 0;
  virtual int64_t cols() const = 0;

  // Elements as they are in the checkpoint.
  virtual void Raw(int64_t row, void* output) = 0;
  virtual void Floats(int64_t row, float* output) = 0;
  // Rounded to nearest, ties to even; an element beyond the range of bf16 counts as infinite.
  virtual void Bf16(int64_t row, uint16_t* output) = 0;
};

}  // namespace conclave
