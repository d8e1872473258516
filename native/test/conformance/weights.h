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
  CodeKind codes = CodeKind::kNone;  // that the checkpoint has it in
};

// Each weight format from each source encoding.
const std::vector<Format>& Formats();

// Numbers in memory, which may have codes too.
class TestSource final : public MemorySource {
 public:
  TestSource(const MemorySource& numbers, CodeKind kind, const std::vector<uint8_t>& codes,
             const std::vector<float>& scales, const std::vector<float>& zeros)
      : MemorySource(numbers), kind_(kind), codes_(codes), scales_(scales), zeros_(zeros) {}

  CodeKind codes() const override { return kind_; }
  void Codes(int64_t row, uint8_t* codes, float* scales, float* zeros) override;

 private:
  CodeKind kind_;
  const std::vector<uint8_t>& codes_;
  const std::vector<float>& scales_;
  const std::vector<float>& zeros_;
};

// A random matrix with gaps between its rows, at an odd address.
class RandomMatrix {
 public:
  RandomMatrix(SourceType type, int64_t rows, int64_t cols, uint32_t seed);
  // As the format's checkpoints have it.
  RandomMatrix(const Format& format, int64_t rows, int64_t cols, uint32_t seed);

  TestSource source() const {
    return {{data(), type_, rows_, cols_, cols_ + kGap}, kind_, codes_, scales_, zeros_};
  }
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
  CodeKind kind_ = CodeKind::kNone;
  std::vector<uint8_t> codes_;  // [rows, cols]
  std::vector<float> scales_;   // [rows, groups of 32 columns]
  std::vector<float> zeros_;
};

// The most by which an output element w . x may be wrong. With e = 2^-24 (half an ulp of f32) and n
// columns, a sum of n products in f32, in any order, differs from the exact one by at most n * e *
// S to first order, where S = sum |x_k w_k|. Rounding x to bf16 adds at most 2^-9 * S, rounding w
// as much again. Quantising a group of 32 to int8 moves each element by at most half a step, which
// is (max of the group) / 254: that adds sum_k (|x_k| dw + |w_k| dx + dx dw) per group. Quantising
// w to 4 bits moves an element by a whole step at most, as the largest one's opposite is no code:
// that is (max of the group) / 8, and 2^-8 of it for the scale's rounding. Codes stay as they are.
double ProductBound(const double* x, const double* w, int64_t cols, const Format& format);

// y = x W^T: w [rows, cols], x [m, cols] -> [m, rows].
std::vector<double> ExactProduct(const std::vector<double>& w, int64_t rows, int64_t cols,
                                 const std::vector<double>& x);

}  // namespace conclave
