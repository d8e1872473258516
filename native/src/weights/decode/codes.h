#pragma once

// Decoders of matrices that a checkpoint stores as codes; see MatrixEncoding in model.proto.

#include <cstdint>
#include <vector>

#include "conclave/model/spec.h"

namespace conclave {

// A row of codes. An element is (table[code] - zero) * scale - minimum of its block.
struct CodedRow {
  const float* table = nullptr;     // values of codes
  const int32_t* blocks = nullptr;  // of each column; null: of block_cols columns in turn
  std::vector<uint8_t> codes;       // [cols]
  std::vector<float> scales;        // [blocks]
  std::vector<float> zeros;         // [blocks]; empty: 0
  std::vector<float> minima;        // [blocks]; empty: 0

  // Columns [begin, end) as numbers.
  void Floats(int64_t block_cols, int64_t begin, int64_t end, float* output) const;
};

// The tensors of a coded matrix as they are in the file.
struct StoredCodes {
  explicit StoredCodes(const MatrixSpec& matrix) : spec(*matrix.codes), data_spec(matrix.data) {}

  const MatrixCodes& spec;
  const TensorRef& data_spec;
  std::vector<uint8_t> data;  // of rows from first_row on, where a decoder goes by rows
  int64_t first_row = 0;
  std::vector<uint8_t> scales;
  std::vector<uint8_t> zeros;
  std::vector<int32_t> group_index;
  float global_scale = 1;

  const uint8_t* Row(int64_t row) const {
    return data.data() + static_cast<size_t>(row - first_row) * row_bytes();
  }
  size_t row_bytes() const { return data_spec.bytes() / static_cast<size_t>(data_spec.shape[0]); }
  // Element of `scales`, with the global one.
  float Scale(int64_t index) const;
};

struct CodeDecoder {
  MatrixEncoding encoding;
  bool by_rows;  // row r of the data holds row r of the matrix
  void (*decode)(const StoredCodes& stored, int64_t row, CodedRow& output);
};

// Of an encoding that has codes.
const CodeDecoder& CodeDecoderOf(MatrixEncoding encoding);

extern const CodeDecoder kScaledDecoder;
extern const CodeDecoder kPackedRowsDecoder;
extern const CodeDecoder kGptqDecoder;
extern const CodeDecoder kAwqDecoder;
extern const CodeDecoder kFp4Decoder;
extern const CodeDecoder kBlocksDecoder;

// Bits [first, first + bits) of words that are `stride` words apart, lowest first; bits <= 8.
uint32_t ReadBits(const uint8_t* words, int64_t stride, int64_t first, int bits);

// Values of the 16 codes of E2M1.
extern const float kE2M1[16];
float F8E4M3ToFloat(uint8_t bits);
float F8E8M0ToFloat(uint8_t bits);
// Values of the codes of a byte: floats or two's complement.
const float* F8E4M3Table();
const float* Int8Table();
// Values of codes that count up from `first`.
const float* CountingTable(int first);

}  // namespace conclave
