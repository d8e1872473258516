#pragma once

#include <cstdint>
#include <vector>

#include "conclave/weights/decoded_source.h"
#include "conclave/weights/weight_store.h"

namespace conclave {

// Part of a matrix in a checkpoint, read some rows at a time.
class TensorSource final : public DecodedSource {
 public:
  TensorSource(const WeightStore& store, const MatrixSpec& matrix, const Rectangle& part,
               uint32_t* crc);

  // An element that is not finite is an error of the checkpoint.
  void Raw(int64_t row, void* output) override;
  void Floats(int64_t row, float* output) override;
  void Bf16(int64_t row, uint16_t* output) override;
  // What a checkpoint of 4-bit codes leaves as numbers keeps more precision than they have.
  CodeKind codes() const override;

 protected:
  const uint8_t* Row(int64_t row) override;

 private:
  template <typename Read>
  void Guard(const Read& read) const;

  const WeightStore& store_;
  const MatrixSpec& matrix_;
  Rectangle part_;
  uint32_t* crc_;
  std::vector<uint8_t> chunk_;
  int64_t first_ = 0;  // row of the chunk, and how many it has
  int64_t count_ = 0;
};

}  // namespace conclave
