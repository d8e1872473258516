#include "conclave/weights/decoded_source.h"

#include <cstring>

#include "conclave/base/message.h"
#include "conclave/base/number_formats.h"
#include "decode/decoder.h"

namespace conclave {

const uint8_t* DecodedSource::FiniteRow(int64_t row) {
  const Decoder& decoder = DecoderOf(type_);
  const uint8_t* const bytes = Row(row);
  if (decoder.finite(bytes, cols_)) return bytes;
  int64_t col = 0;
  const size_t element = ElementBytes(type_);
  while (decoder.finite(bytes + static_cast<size_t>(col) * element, 1)) ++col;
  Fail(ErrorCode::kNonFinite, "weights: the ", decoder.name, " element at row ", row, ", column ",
       col, " is NaN or infinite");
}

void DecodedSource::Raw(int64_t row, void* output) {
  std::memcpy(output, FiniteRow(row), row_bytes());
}

void DecodedSource::Floats(int64_t row, float* output) {
  DecoderOf(type_).floats(FiniteRow(row), cols_, output);
}

void DecodedSource::Bf16(int64_t row, uint16_t* output) {
  if (type_ == SourceType::kBF16) return Raw(row, output);
  wide_.resize(static_cast<size_t>(cols_));
  Floats(row, wide_.data());
  for (int64_t i = 0; i < cols_; ++i) output[i] = FloatToBf16(wide_[static_cast<size_t>(i)]);
  if (!DecoderOf(SourceType::kBF16).finite(reinterpret_cast<const uint8_t*>(output), cols_)) {
    Fail(ErrorCode::kNonFinite, "weights: row ", row, " has an element beyond the range of bf16");
  }
}

}  // namespace conclave
