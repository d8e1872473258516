#include "kernels/cuda/backend/loading/weight_upload.h"

#include <algorithm>
#include <cstring>

#include "conclave/base/error.h"

namespace conclave::cuda {

WeightUpload::WeightUpload(int device) : halves_{Half(device), Half(device)} {}

uint8_t* WeightUpload::Piece(size_t bytes) {
  current_ = 1 - current_;
  Half& half = halves_[current_];
  half.stream.Synchronise("weights");
  if (half.memory.bytes() < bytes)
    half.memory = PinnedBuffer(std::max(bytes, kPieceBytes), "weights on their way to the device");
  return half.memory.as();
}

void WeightUpload::Send(void* target, size_t bytes) {
  Half& half = halves_[current_];
  half.stream.ToDevice(target, half.memory.as(), bytes, "weights");
}

void WeightUpload::SendAll(void* target, const void* values, size_t bytes) {
  for (size_t first = 0; first < bytes; first += kPieceBytes) {
    const size_t count = std::min(kPieceBytes, bytes - first);
    std::memcpy(Piece(count), static_cast<const uint8_t*>(values) + first, count);
    Send(static_cast<uint8_t*>(target) + first, count);
  }
}

void WeightUpload::Finish() {
  for (Half& half : halves_) half.stream.Synchronise("weights");
}

WeightMemory WeightLoading::Take(size_t bytes) {
  try {
    return {pool_, bytes};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kOutOfMemory || !pool_->Trim()) throw;
    return {pool_, bytes};
  }
}

std::unique_ptr<WeightUpload> WeightLoading::Borrow() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) return std::make_unique<WeightUpload>(device_);
  std::unique_ptr<WeightUpload> upload = std::move(free_.back());
  free_.pop_back();
  return upload;
}

void WeightLoading::Return(std::unique_ptr<WeightUpload> upload) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(upload));
}

void WeightLoading::Abandon(std::unique_ptr<WeightUpload> upload) noexcept {
  try {
    upload->Finish();
    Return(std::move(upload));
  } catch (...) {
    // The device computes no more: nothing is copied, and the error on its way says why.
  }
}

}  // namespace conclave::cuda
