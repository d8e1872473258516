#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "conclave/base/range.h"
#include "conclave/model/spec.h"
#include "conclave/weights/weight_file.h"
#include "kernels/cpu/matmul/matmul.h"

namespace conclave {

// An open checkpoint: reads parts of tensors by their TensorRef. Every read throws kIo or
// kCorruptCheckpoint where the file no longer has what it had. Thread safe.
class WeightStore {
 public:
  // Validates the spec and opens its files. Reads no tensor.
  WeightStore(const std::string& directory, ModelSpec spec, WeightsFormat format);

  const ModelSpec& spec() const { return spec_; }
  WeightsFormat format() const { return format_; }

  // Part of a two-dimensional tensor, packed for the kernels. Throws kCorruptCheckpoint naming the
  // tensor when an element is not finite. Where `crc` is not null, it continues a CRC-32 over the
  // bytes that it packs, as Checksum does.
  PackedMatrix Pack(const MatmulKernels& kernels, const TensorRef& tensor, const Rectangle& part,
                    WeightsFormat format, uint32_t* crc = nullptr) const;
  // Part of a one-dimensional tensor in f32; the same error.
  std::vector<float> Vector(const TensorRef& tensor, Range part) const;
  // Continues a CRC-32 over the bytes of a part, row by row.
  uint32_t Checksum(uint32_t crc, const TensorRef& tensor, const Rectangle& part) const;
  // Elements [begin, end) as they are in the file, counted in row-major order.
  void Read(const TensorRef& tensor, Range elements, void* output) const;

 private:
  // Rows [first, first + count) of a part, without gaps.
  void ReadRows(const TensorRef& tensor, const Rectangle& part, int64_t first, int64_t count,
                uint8_t* output) const;
  void Prefetch(const TensorRef& tensor, Range elements) const;

  ModelSpec spec_;
  WeightsFormat format_;
  std::vector<std::unique_ptr<WeightFile>> files_;
};

// Elements of the checkpoint in f32. `bytes` may be unaligned.
void Widen(SourceType type, const uint8_t* bytes, int64_t count, float* output);

// All of a two-dimensional tensor.
Rectangle Whole(const TensorRef& tensor);

}  // namespace conclave
