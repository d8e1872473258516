#include "codes.h"

namespace conclave {
namespace {

void Decode(const StoredCodes& stored, int64_t row, CodedRow& output) {
  const MatrixCodes& spec = stored.spec;
  const uint8_t* const words = stored.data.data() + row * 4;
  // Where none are stored, zeros are in the middle.
  output.table = CountingTable(spec.zeros ? 0 : -(1 << (spec.bits - 1)));
  output.codes.resize(static_cast<size_t>(spec.cols));
  for (int64_t col = 0; col < spec.cols; ++col) {
    output.codes[static_cast<size_t>(col)] =
        static_cast<uint8_t>(ReadBits(words, spec.rows, col * spec.bits, spec.bits));
  }
  const int64_t blocks = spec.scales->shape[0];
  const int64_t zero_words = spec.zeros ? spec.zeros->shape[1] : 0;
  output.scales.resize(static_cast<size_t>(blocks));
  output.zeros.resize(static_cast<size_t>(spec.zeros ? blocks : 0));
  for (int64_t block = 0; block < blocks; ++block) {
    output.scales[static_cast<size_t>(block)] = stored.Scale(block * spec.rows + row);
    if (!spec.zeros) continue;
    const uint32_t zero =
        ReadBits(stored.zeros.data() + block * zero_words * 4, 1, row * spec.bits, spec.bits);
    const uint32_t mask = (1u << spec.bits) - 1;
    output.zeros[static_cast<size_t>(block)] =
        static_cast<float>((zero + static_cast<uint32_t>(spec.zero_offset)) & mask);
  }
  if (spec.group_index) output.blocks = stored.group_index.data();
}

}  // namespace

const CodeDecoder kGptqDecoder = {MatrixEncoding::kGptq, false, Decode};

}  // namespace conclave
