#include "tensor_source.h"

#include <algorithm>

#include "conclave/base/message.h"
#include "conclave/weights/crc32.h"

namespace conclave {
namespace {

// What is read at a time. Of a transposed matrix every stored row is read for each chunk.
constexpr int64_t kChunkBytes = 256 << 10;
constexpr int64_t kTransposedChunkBytes = 32 << 20;

bool HasNarrowCodes(const LinearSpec& linear) {
  return linear.weight.codes && linear.weight.codes->bits <= 4;
}

// Whether the checkpoint has matrices in codes of 4 bits or fewer.
bool HasNarrowCodes(const ModelSpec& spec) {
  if (HasNarrowCodes(spec.head)) return true;
  for (const LayerSpec& layer : spec.layers) {
    const auto* moe = layer.Find<MoeSpec>();
    const auto* dense = layer.Find<DenseSpec>();
    const auto* gqa = layer.Find<GqaSpec>();
    if (moe != nullptr && HasNarrowCodes(moe->experts.expert.up)) return true;
    if (dense != nullptr && HasNarrowCodes(dense->ffn.up)) return true;
    if (gqa != nullptr && HasNarrowCodes(gqa->q)) return true;
  }
  return false;
}

}  // namespace

TensorSource::TensorSource(const WeightStore& store, const MatrixSpec& matrix,
                           const Rectangle& part, uint32_t* crc)
    : DecodedSource(matrix.data.type, part.rows.size(), part.cols.size()),
      store_(store),
      matrix_(matrix),
      part_(part),
      crc_(crc) {}

const uint8_t* TensorSource::Row(int64_t row) {
  if (row < first_ || row >= first_ + count_) {
    const bool transposed = matrix_.region && matrix_.region->transposed;
    const int64_t chunk_bytes = transposed ? kTransposedChunkBytes : kChunkBytes;
    const int64_t at_once =
        std::max<int64_t>(1, chunk_bytes / std::max<int64_t>(1, static_cast<int64_t>(row_bytes())));
    first_ = row;
    count_ = std::min(at_once, rows() - row);
    chunk_.resize(static_cast<size_t>(count_) * row_bytes());
    store_.ReadRows(matrix_, part_, part_.rows.begin + row, count_, chunk_.data());
    if (crc_ != nullptr) *crc_ = Crc32(*crc_, chunk_.data(), chunk_.size());
  }
  return chunk_.data() + static_cast<size_t>(row - first_) * row_bytes();
}

CodeKind TensorSource::codes() const {
  return HasNarrowCodes(store_.spec()) ? CodeKind::kWide : CodeKind::kNone;
}

template <typename Read>
void TensorSource::Guard(const Read& read) const {
  try {
    read();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNonFinite) throw;
    Fail(ErrorCode::kCorruptCheckpoint, "tensor ", matrix_.data.name, ": ", error.what());
  }
}

void TensorSource::Raw(int64_t row, void* output) {
  Guard([&] { DecodedSource::Raw(row, output); });
}

void TensorSource::Floats(int64_t row, float* output) {
  Guard([&] { DecodedSource::Floats(row, output); });
}

void TensorSource::Bf16(int64_t row, uint16_t* output) {
  Guard([&] { DecodedSource::Bf16(row, output); });
}

}  // namespace conclave
