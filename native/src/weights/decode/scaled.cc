#include <cstring>

#include "codes.h"

namespace conclave {
namespace {

void Decode(const StoredCodes& stored, int64_t row, CodedRow& output) {
  const MatrixCodes& spec = stored.spec;
  output.table = stored.data_spec.type == SourceType::kF8E4M3 ? F8E4M3Table() : Int8Table();
  output.codes.resize(static_cast<size_t>(spec.cols));
  std::memcpy(output.codes.data(), stored.Row(row), output.codes.size());
  const int64_t blocks = spec.col_blocks();
  output.scales.resize(static_cast<size_t>(blocks));
  for (int64_t block = 0; block < blocks; ++block) {
    output.scales[static_cast<size_t>(block)] =
        stored.Scale(row / spec.block_rows * blocks + block);
  }
}

}  // namespace

const CodeDecoder kScaledDecoder = {MatrixEncoding::kScaled, true, Decode};

}  // namespace conclave
