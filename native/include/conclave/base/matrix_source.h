#pragma once

#include <cstdint>

#include "conclave/base/element_types.h"

namespace conclave {

// What the 4-bit codes of a matrix stand for, by 32 columns that have a scale in common.
enum class CodeKind {
  kNone,    // it has no such codes
  kWide,    // it has codes of more bits, which 4 bits would not do justice
  kSigned,  // (code - 8) * scale
  kZeros,   // (code - zero) * scale
  kE2M1,    // 0, 0.5, 1, 1.5, 2, 3, 4, 6 and, from code 8 on, their opposites, times scale
};

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

  // Whether the checkpoint has it in codes of any kind.
  virtual bool coded() const { return false; }
  // How the checkpoint has it in 4-bit codes.
  virtual CodeKind codes() const { return CodeKind::kNone; }
  // Codes [cols], and of each group of 32 columns scale and zero; zeros of kZeros alone. For
  // matrices that have codes, instead of what is above.
  virtual void Codes(int64_t /*row*/, uint8_t* /*codes*/, float* /*scales*/, float* /*zeros*/) {}
};

}  // namespace conclave
