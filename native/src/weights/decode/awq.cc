#include "codes.h"

namespace conclave {
namespace {

// Where row r of eight lies in a word: rows 0, 2, 4, 6, 1, 3, 5, 7 follow each other.
constexpr int kPlaces[] = {0, 4, 1, 5, 2, 6, 3, 7};

void Decode(const StoredCodes& stored, int64_t row, CodedRow& output) {
  const MatrixCodes& spec = stored.spec;
  const int64_t words = spec.rows / 8;
  const auto code = [&](const std::vector<uint8_t>& tensor, int64_t at) {
    const uint8_t* const word = tensor.data() + (at * words + row / 8) * 4;
    return ReadBits(word, 1, kPlaces[row % 8] * 4, 4);
  };
  output.table = CountingTable(0);
  output.codes.resize(static_cast<size_t>(spec.cols));
  for (int64_t col = 0; col < spec.cols; ++col)
    output.codes[static_cast<size_t>(col)] = static_cast<uint8_t>(code(stored.data, col));
  const int64_t blocks = spec.col_blocks();
  output.scales.resize(static_cast<size_t>(blocks));
  output.zeros.resize(static_cast<size_t>(blocks));
  for (int64_t block = 0; block < blocks; ++block) {
    output.scales[static_cast<size_t>(block)] = stored.Scale(block * spec.rows + row);
    output.zeros[static_cast<size_t>(block)] = static_cast<float>(code(stored.zeros, block));
  }
}

}  // namespace

const CodeDecoder kAwqDecoder = {MatrixEncoding::kAwq, false, Decode};

}  // namespace conclave
