#pragma once

#include <cstdint>
#include <vector>

#include "conclave/base/matrix_source.h"
#include "kernels/cuda/backend/weights.h"

namespace conclave::cuda {

// How a matrix is stored for a format.
Storage StorageOf(const MatrixSource& source, WeightsFormat format);

// Elements of a row in memory: those that kernels read by 16 bytes, or in whole groups.
int64_t StrideOf(Storage storage, int64_t cols);
size_t RowBytes(Storage storage, int64_t stride);

// Reads rows of a matrix and encodes them.
class RowEncoder {
 public:
  RowEncoder(MatrixSource& source, Storage storage);

  // Into RowBytes(); scales, zeros [groups of 32 columns] become those of the row.
  void Encode(int64_t row, uint8_t* output);
  const std::vector<float>& scales() const { return scales_; }
  const std::vector<float>& zeros() const { return zeros_; }

 private:
  // Steps of a scale by which the largest magnitude of each group is 127.
  void Quantise8(int8_t* output);
  // Codes of the source, or else of steps of a scale by which the largest element is -8.
  void Encode4(int64_t row, uint8_t* output);
  void Quantise4();

  MatrixSource& source_;
  Storage storage_;
  int64_t cols_;
  std::vector<float> values_;
  std::vector<uint8_t> codes_;
  std::vector<float> scales_;
  std::vector<float> zeros_;
};

}  // namespace conclave::cuda
