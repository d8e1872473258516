#pragma once

#include <cstdint>
#include <vector>

#include "conclave/base/matrix_source.h"

namespace conclave {

// Decodes rows that a subclass has.
class DecodedSource : public MatrixSource {
 public:
  DecodedSource(SourceType type, int64_t rows, int64_t cols)
      : type_(type), rows_(rows), cols_(cols) {}

  SourceType type() const override { return type_; }
  int64_t rows() const override { return rows_; }
  int64_t cols() const override { return cols_; }
  void Raw(int64_t row, void* output) override;
  void Floats(int64_t row, float* output) override;
  void Bf16(int64_t row, uint16_t* output) override;

 protected:
  // Elements of a row, which need not be aligned.
  virtual const uint8_t* Row(int64_t row) = 0;

  size_t row_bytes() const { return static_cast<size_t>(cols_) * ElementBytes(type_); }

 private:
  // Throws kNonFinite naming the element.
  const uint8_t* FiniteRow(int64_t row);

  SourceType type_;
  int64_t rows_;
  int64_t cols_;
  std::vector<float> wide_;
};

// A matrix in memory, `stride` elements between rows.
class MemorySource : public DecodedSource {
 public:
  MemorySource(const void* data, SourceType type, int64_t rows, int64_t cols, int64_t stride)
      : DecodedSource(type, rows, cols),
        data_(static_cast<const uint8_t*>(data)),
        stride_bytes_(static_cast<size_t>(stride) * ElementBytes(type)) {}

 protected:
  const uint8_t* Row(int64_t row) override {
    return data_ + static_cast<size_t>(row) * stride_bytes_;
  }

 private:
  const uint8_t* data_;
  size_t stride_bytes_;
};

}  // namespace conclave
