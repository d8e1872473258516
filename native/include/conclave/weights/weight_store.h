#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "conclave/base/matrix_source.h"
#include "conclave/base/range.h"
#include "conclave/model/spec.h"
#include "conclave/weights/weight_file.h"

namespace conclave {

// An open checkpoint: reads parts of tensors by their TensorRef. Every read throws kIo or
// kCorruptCheckpoint where the file no longer has what it had. Thread safe.
class WeightStore {
 public:
  // Validates the spec and opens its files. Reads no tensor.
  WeightStore(const std::string& directory, ModelSpec spec, WeightsFormat format);

  const ModelSpec& spec() const { return spec_; }
  WeightsFormat format() const { return format_; }

  // Part of a matrix, for a backend to pack. Its rows throw kCorruptCheckpoint
  // naming the tensor when an element is not finite. Where `crc` is not null, it continues a CRC-32
  // over the bytes that are read: row by row, or of codes all. Both references must outlive the
  // source.
  std::unique_ptr<MatrixSource> Matrix(const MatrixSpec& matrix, const Rectangle& part,
                                       uint32_t* crc = nullptr) const;
  // Part of a vector in f32; the same error.
  std::vector<float> Vector(const TensorRef& tensor, Range part) const;
  // Part of a layer's bias, which it has.
  std::vector<float> Bias(const LinearSpec& linear, Range part) const;
  // Rows [first, first + count) of the matrix, those columns of them that lie in a part, as they
  // are in the file and without gaps.
  void ReadRows(const MatrixSpec& matrix, const Rectangle& part, int64_t first, int64_t count,
                uint8_t* output) const;
  // Bytes [first, first + count) of a tensor.
  void ReadBytes(const TensorRef& tensor, uint64_t first, uint64_t count, void* output) const;

 private:
  void ReadTransposed(const MatrixSpec& matrix, const Rectangle& part, int64_t first, int64_t count,
                      uint8_t* output) const;
  // Elements [begin, end) as they are in the file, counted in row-major order.
  void Read(const TensorRef& tensor, Range elements, void* output) const;
  void Prefetch(const TensorRef& tensor, Range elements) const;

  ModelSpec spec_;
  WeightsFormat format_;
  std::vector<std::unique_ptr<WeightFile>> files_;
};

// All of a matrix.
Rectangle Whole(const MatrixSpec& matrix);

}  // namespace conclave
