#include "codes.h"

namespace conclave {
namespace {

void Decode(const StoredCodes& stored, int64_t row, CodedRow& output) {
  const MatrixCodes& spec = stored.spec;
  const int middle = 1 << (spec.bits - 1);
  const uint8_t* const words = stored.Row(row);
  output.table = CountingTable(-middle);
  output.codes.resize(static_cast<size_t>(spec.cols));
  for (int64_t col = 0; col < spec.cols; ++col) {
    output.codes[static_cast<size_t>(col)] =
        static_cast<uint8_t>(ReadBits(words, 1, col * spec.bits, spec.bits));
  }
  const int64_t blocks = spec.col_blocks();
  output.scales.resize(static_cast<size_t>(blocks));
  output.zeros.resize(static_cast<size_t>(spec.zeros ? blocks : 0));
  for (int64_t block = 0; block < blocks; ++block) {
    output.scales[static_cast<size_t>(block)] = stored.Scale(row * blocks + block);
    if (!spec.zeros) continue;
    const uint32_t zero =
        ReadBits(stored.zeros.data() + block * 4, blocks, row * spec.bits, spec.bits);
    output.zeros[static_cast<size_t>(block)] = static_cast<float>(static_cast<int>(zero) - middle);
  }
  if (spec.group_index) output.blocks = stored.group_index.data();
}

}  // namespace

const CodeDecoder kPackedRowsDecoder = {MatrixEncoding::kPackedRows, true, Decode};

}  // namespace conclave
