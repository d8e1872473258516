#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "conclave/backend/step_rows.h"
#include "kernels/cuda/runtime/runtime.h"

namespace conclave::cuda {

// Device memory for the rows of steps, used again and again: work is in order, so that what a step
// leaves may be overwritten for the next one.
class StepBuffers {
 public:
  DeviceBuffer Take(size_t bytes);
  void GiveBack(DeviceBuffer buffer);

 private:
  std::mutex mutex_;
  std::vector<DeviceBuffer> free_;
};

// Where the rows of a step stand, in device memory.
class CudaStepRows final : public StepRows {
 public:
  CudaStepRows(const SequenceRows& where, std::shared_ptr<StepBuffers> buffers);
  ~CudaStepRows() override { buffers_->GiveBack(std::move(buffer_)); }

  // All arrays one after the other, as device() has them.
  const std::vector<int32_t>& host() const { return host_; }
  int32_t* device() const { return buffer_.as<int32_t>(); }

  const int32_t* positions() const { return device(); }                       // [rows]
  const int32_t* row_sequences() const { return device() + row_sequences_; }  // [rows]
  const int32_t* sequence_offsets() const { return device() + offsets_; }     // [sequences + 1]
  const int32_t* block_tables() const { return device() + tables_; }
  const int32_t* block_offsets() const { return device() + table_offsets_; }  // [sequences + 1]
  const int32_t* state_slots() const { return device() + slots_; }            // [sequences]
  int64_t sequences() const { return sequences_; }
  // Of a row, plus one.
  int64_t longest() const { return longest_; }

 private:
  size_t Append(std::span<const int32_t> values);

  std::shared_ptr<StepBuffers> buffers_;
  std::vector<int32_t> host_;
  size_t row_sequences_ = 0, offsets_ = 0, tables_ = 0, table_offsets_ = 0, slots_ = 0;
  int64_t sequences_ = 0;
  int64_t longest_ = 0;
  DeviceBuffer buffer_;
};

inline const CudaStepRows& OnDevice(const StepRows& where) {
  return static_cast<const CudaStepRows&>(where);
}

}  // namespace conclave::cuda
