#include "codes.h"

namespace conclave {

const float kE2M1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};

namespace {

void Decode(const StoredCodes& stored, int64_t row, CodedRow& output) {
  const MatrixCodes& spec = stored.spec;
  const uint8_t* const bytes = stored.Row(row);
  output.table = kE2M1;
  output.codes.resize(static_cast<size_t>(spec.cols));
  for (int64_t col = 0; col < spec.cols; ++col) {
    output.codes[static_cast<size_t>(col)] =
        static_cast<uint8_t>(bytes[col / 2] >> (col % 2 * 4) & 15);
  }
  const int64_t blocks = spec.col_blocks();
  output.scales.resize(static_cast<size_t>(blocks));
  for (int64_t block = 0; block < blocks; ++block)
    output.scales[static_cast<size_t>(block)] = stored.Scale(row * blocks + block);
}

}  // namespace

const CodeDecoder kFp4Decoder = {MatrixEncoding::kFp4, true, Decode};

}  // namespace conclave
