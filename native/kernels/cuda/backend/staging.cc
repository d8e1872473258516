#include "kernels/cuda/backend/staging.h"

#include <algorithm>
#include <cstring>

namespace conclave::cuda {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kLeastChunk = size_t{1} << 20;

}  // namespace

void* Staging::Take(size_t bytes) {
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  while (chunk_ < chunks_.size() && used_ + rounded > chunks_[chunk_].bytes()) {
    ++chunk_;
    used_ = 0;
  }
  if (chunk_ == chunks_.size())
    chunks_.emplace_back(std::max(rounded, kLeastChunk), "copies to and from the device");
  uint8_t* const memory = chunks_[chunk_].as() + used_;
  used_ += rounded;
  taken_ += rounded;
  return memory;
}

void Staging::Reset() {
  chunk_ = 0;
  used_ = 0;
  taken_ = 0;
}

void Staging::Deliver() {
  for (const Arrival& arrival : arrivals_) std::memcpy(arrival.host, arrival.staged, arrival.bytes);
  arrivals_.clear();
}

}  // namespace conclave::cuda
