#include "kernels/cpu/matmul/encoded_rows.h"

#include <algorithm>

#include "kernels/cpu/matmul/layout.h"

namespace conclave {
namespace {

// Encoding fewer elements than this is not worth a second thread.
constexpr int64_t kSerialElements = 16 << 10;

int64_t ActivationBytes(ActivationEncoding encoding, int64_t cols) {
  switch (encoding) {
    case ActivationEncoding::kF32:
    case ActivationEncoding::kRounded:
      return cols * 4;
    case ActivationEncoding::kBF16:
      return cols * 2;
    case ActivationEncoding::kQ8:
      return cols + cols / kColumnGroup * 8;
  }
  return 0;
}

}  // namespace

int64_t ActivationStride(ActivationEncoding encoding, int64_t cols) {
  return RoundUp(ActivationBytes(encoding, cols), 64) | 64;
}

void EncodedRows::Reset(const TileKernels& tiles, const float* input, int64_t rows, int64_t cols) {
  tiles_ = &tiles;
  input_ = input;
  rows_ = rows;
  cols_ = cols;
  done_.fill(false);
}

void EncodedRows::Require(ThreadPool& pool, ActivationEncoding encoding) {
  const auto index = static_cast<size_t>(encoding);
  if (done_[index]) return;
  const int64_t padded = RoundUp(cols_, kColumnGroup);
  const int64_t stride = ActivationStride(encoding, padded);
  uint8_t* const out = buffers_[index].Reserve(static_cast<size_t>(rows_ * stride));
  const EncodeRows encode = tiles_->encode[index];
  const int64_t whole = cols_ / kColumnGroup * kColumnGroup;
  const auto encode_rows = [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* x = input_ + row * cols_;
      encode(x, 0, whole, padded, out + row * stride);
      if (whole == cols_) continue;
      float tail[kColumnGroup] = {};
      std::copy(x + whole, x + cols_, tail);
      encode(tail, whole, kColumnGroup, padded, out + row * stride);
    }
  };
  const int64_t chunk = std::max<int64_t>(1, kSerialElements / cols_);
  if (rows_ <= chunk) {
    encode_rows(0, rows_);
  } else {
    pool.ParallelFor((rows_ - 1) / chunk + 1, [&](int64_t task, int /*thread*/) {
      encode_rows(task * chunk, std::min(rows_, (task + 1) * chunk));
    });
  }
  done_[index] = true;
}

const uint8_t* EncodedRows::Row(ActivationEncoding encoding, int64_t row) const {
  return buffers_[static_cast<size_t>(encoding)].data() + row * Stride(encoding);
}

int64_t EncodedRows::Stride(ActivationEncoding encoding) const {
  return ActivationStride(encoding, RoundUp(cols_, kColumnGroup));
}

}  // namespace conclave
