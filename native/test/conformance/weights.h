#pragma once

// Random weights as a checkpoint has them, in every source encoding and weight format.

#include <cstdint>
#include <string>
#include <vector>

#include "conclave/base/element_types.h"
#include "conclave/weights/decoded_source.h"

namespace conclave {

struct Format {
  std::string name;
  SourceType source;
  WeightsFormat format;
};

// Each weight format from each source encoding.
const std::vector<Format>& Formats();

// A random matrix with gaps between its rows, at an odd address.
class RandomMatrix {
 public:
  RandomMatrix(SourceType type, int64_t rows, int64_t cols, uint32_t seed);

  MemorySource source() const { return {data(), type_, rows_, cols_, cols_ + kGap}; }
  // Its elements, row-major.
  std::vector<double> values() const;
  // Bytes of an element.
  uint8_t* at(int64_t row, int64_t col);
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }

 private:
  static constexpr int64_t kGap = 3;

  const uint8_t* data() const { return bytes_.data() + 1; }

  SourceType type_;
  int64_t rows_;
  int64_t cols_;
  std::vector<uint8_t> bytes_;
};

// The most by which an output element w . x may be wrong. With e = 2^-24 (half an ulp of f32) and n
// columns, a sum of n products in f32, in any order, differs from the exact one by at most n * e *
// S to first order, where S = sum |x_k w_k|. Rounding x to bf16 adds at most 2^-9 * S, rounding w
// as much again. Quantising a group of 32 to int8 moves each element by at most half a step, which
// is (max of the group) / 254: that adds sum_k (|x_k| dw + |w_k| dx + dx dw) per group.
double ProductBound(const double* x, const double* w, int64_t cols, WeightsFormat format);

// y = x W^T: w [rows, cols], x [m, cols] -> [m, rows].
std::vector<double> ExactProduct(const std::vector<double>& w, int64_t rows, int64_t cols,
                                 const std::vector<double>& x);

}  // namespace conclave
