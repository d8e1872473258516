#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "conclave/base/range.h"
#include "conclave/model/spec.h"
#include "conclave/weights/mapped_file.h"
#include "kernels/cpu/matmul/matmul.h"

namespace conclave {

// A memory-mapped checkpoint: hands out parts of tensors by their TensorRef. Thread safe.
class WeightStore {
 public:
  // Validates the spec and maps its files. Reads no tensor.
  WeightStore(const std::string& directory, ModelSpec spec, WeightsFormat format);

  const ModelSpec& spec() const { return spec_; }
  WeightsFormat format() const { return format_; }

  // Part of a two-dimensional tensor, packed for the kernels. Throws kCorruptCheckpoint naming the
  // tensor when an element is not finite.
  PackedMatrix Pack(const MatmulKernels& kernels, const TensorRef& tensor, const Rectangle& part,
                    WeightsFormat format) const;
  // Part of a one-dimensional tensor in f32; the same error.
  std::vector<float> Vector(const TensorRef& tensor, Range part) const;
  // Continues a CRC-32 over the bytes of a part, row by row.
  uint32_t Checksum(uint32_t crc, const TensorRef& tensor, const Rectangle& part) const;
  // One row of a two-dimensional tensor in f32, rounded to bf16 where the format asks for it.
  void ReadRow(const TensorRef& tensor, int64_t row, float* output) const;
  // Brings a whole tensor into memory, so that ReadRow need not touch the disk.
  void Populate(const TensorRef& tensor) const;
  // Gives back the memory that reads of the tensor have mapped.
  void Release(const TensorRef& tensor) const;

 private:
  const uint8_t* Data(const TensorRef& tensor) const;
  // Populates elements [begin, end), counted in row-major order.
  void PopulateElements(const TensorRef& tensor, int64_t begin, int64_t end) const;

  ModelSpec spec_;
  WeightsFormat format_;
  std::vector<std::unique_ptr<MappedFile>> files_;
};

// All of a two-dimensional tensor.
Rectangle Whole(const TensorRef& tensor);

}  // namespace conclave
