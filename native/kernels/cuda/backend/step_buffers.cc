#include "kernels/cuda/backend/step_buffers.h"

#include <algorithm>

namespace conclave::cuda {
namespace {

constexpr size_t kLeastBytes = size_t{64} << 10;

}  // namespace

DeviceBuffer StepBuffers::Take(size_t bytes) {
  const std::lock_guard lock(mutex_);
  for (DeviceBuffer& buffer : free_) {
    if (buffer.bytes() < bytes) continue;
    DeviceBuffer taken = std::move(buffer);
    buffer = std::move(free_.back());
    free_.pop_back();
    return taken;
  }
  size_t rounded = kLeastBytes;
  while (rounded < bytes) rounded *= 2;
  return {rounded, "rows of a step"};
}

void StepBuffers::GiveBack(DeviceBuffer buffer) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(buffer));
}

CudaStepRows::CudaStepRows(const SequenceRows& where, std::shared_ptr<StepBuffers> buffers)
    : StepRows(where), buffers_(std::move(buffers)) {
  Append(where.positions);
  std::vector<int32_t> sequences;
  if (!where.sequence_offsets.empty())
    sequences_ = static_cast<int64_t>(where.sequence_offsets.size()) - 1;
  for (size_t s = 0; s + 1 < where.sequence_offsets.size(); ++s)
    sequences.resize(static_cast<size_t>(where.sequence_offsets[s + 1]), static_cast<int32_t>(s));
  row_sequences_ = Append(sequences);
  offsets_ = Append(where.sequence_offsets);
  tables_ = Append(where.block_tables);
  table_offsets_ = Append(where.block_offsets);
  slots_ = Append(where.state_slots);
  for (const int32_t position : where.positions)
    longest_ = std::max(longest_, int64_t{position} + 1);
  buffer_ = buffers_->Take(host_.size() * sizeof(int32_t));
}

size_t CudaStepRows::Append(std::span<const int32_t> values) {
  const size_t at = host_.size();
  host_.insert(host_.end(), values.begin(), values.end());
  return at;
}

}  // namespace conclave::cuda
