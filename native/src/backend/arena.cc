#include "conclave/backend/arena.h"

#include <algorithm>

#include "conclave/backend/backend.h"

namespace conclave {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kLeastChunk = size_t{1} << 20;

}  // namespace

uint64_t Arena::TakeBytes(size_t bytes) {
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (chunk_ == 0 && used_ == 0 && chunks_.size() > 1) Merge();
  while (chunk_ < chunks_.size() && used_ + rounded > chunks_[chunk_].bytes) {
    ++chunk_;
    used_ = 0;
  }
  if (chunk_ == chunks_.size()) Add(std::max(rounded, kLeastChunk));
  const uint64_t address = chunks_[chunk_].memory->address() + used_;
  used_ += rounded;
  return address;
}

void Arena::Add(size_t bytes) { chunks_.push_back({backend_.Allocate(bytes), bytes}); }

void Arena::Merge() {
  size_t all = 0;
  for (const Chunk& chunk : chunks_) all += chunk.bytes;
  chunks_.clear();
  Add(all);
}

void Arena::Reset() {
  chunk_ = 0;
  used_ = 0;
}

}  // namespace conclave
