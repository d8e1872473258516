#pragma once

#include <cstdint>
#include <vector>

#include "conclave/base/matrix_source.h"
#include "conclave/weights/weight_store.h"
#include "decode/codes.h"

namespace conclave {

// Part of a matrix that a checkpoint stores as codes, as the numbers that they stand for. Where
// `crc` is not null, it continues a CRC-32 over all bytes of the matrix' tensors, in the order of
// ExpertTable.places, whatever the part is.
class CodedSource final : public MatrixSource {
 public:
  CodedSource(const WeightStore& store, const MatrixSpec& matrix, const Rectangle& part,
              uint32_t* crc);

  SourceType type() const override { return SourceType::kF32; }
  int64_t rows() const override { return part_.rows.size(); }
  int64_t cols() const override { return part_.cols.size(); }
  void Raw(int64_t row, void* output) override { Floats(row, static_cast<float*>(output)); }
  void Floats(int64_t row, float* output) override;
  void Bf16(int64_t row, uint16_t* output) override;
  bool coded() const override { return true; }
  CodeKind codes() const override;
  void Codes(int64_t row, uint8_t* codes, float* scales, float* zeros) override;

 private:
  // Decodes row `row` of the part into row_, and returns where it is stored.
  int64_t Decode(int64_t row);
  static void SetMinimum(float minimum, int64_t count, uint8_t* codes, float* scale, float* zero);
  void ReadBeside();
  void ReadData(int64_t first, int64_t count);

  const WeightStore& store_;
  const MatrixSpec& matrix_;
  const CodeDecoder& decoder_;
  Rectangle part_;
  uint32_t* crc_;
  StoredCodes stored_;
  int64_t stored_rows_ = 0;  // of the data that is in memory
  CodedRow row_;
  std::vector<float> wide_;
};

}  // namespace conclave
