#include "tensor_source.h"

#include <algorithm>

#include "conclave/base/message.h"
#include "conclave/weights/crc32.h"

namespace conclave {
namespace {

// What is read at a time.
constexpr int64_t kChunkBytes = 256 << 10;

}  // namespace

TensorSource::TensorSource(const WeightStore& store, const TensorRef& tensor, const Rectangle& part,
                           uint32_t* crc)
    : DecodedSource(tensor.type, part.rows.size(), part.cols.size()),
      store_(store),
      tensor_(tensor),
      part_(part),
      crc_(crc) {}

const uint8_t* TensorSource::Row(int64_t row) {
  if (row < first_ || row >= first_ + count_) {
    const int64_t at_once =
        std::max<int64_t>(1, kChunkBytes / std::max<int64_t>(1, static_cast<int64_t>(row_bytes())));
    first_ = row;
    count_ = std::min(at_once, rows() - row);
    chunk_.resize(static_cast<size_t>(count_) * row_bytes());
    store_.ReadRows(tensor_, part_, part_.rows.begin + row, count_, chunk_.data());
    if (crc_ != nullptr) *crc_ = Crc32(*crc_, chunk_.data(), chunk_.size());
  }
  return chunk_.data() + static_cast<size_t>(row - first_) * row_bytes();
}

template <typename Read>
void TensorSource::Guard(const Read& read) const {
  try {
    read();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNonFinite) throw;
    Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor_.name, ": ", error.what());
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
