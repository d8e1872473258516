#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/cuda/runtime/runtime.h"

namespace conclave::cuda {

// Device memory of weights. Those of one size lie in slots of slabs; a slot that is given back
// holds the next of that size, once the steps that may read what was there are done. So experts
// come and go while steps run: memory is neither freed, which would wait for them, nor left in
// pieces. Any thread.
class WeightPool {
 public:
  // `steps`: of the stream whose work reads weights.
  explicit WeightPool(std::shared_ptr<const Progress> steps) : steps_(std::move(steps)) {}

  // At least so many bytes, aligned to 256. Throws kOutOfMemory.
  uint8_t* Take(size_t bytes);
  void GiveBack(uint8_t* slot) noexcept;
  // Frees slabs that hold nothing; whether there were any.
  bool Trim();

 private:
  struct FreeSlot {
    uint8_t* memory;
    uint64_t mark;  // of the steps that may read it
  };
  struct Slab {
    AsideBuffer memory;
    size_t slot_bytes;
    size_t slots;
    size_t free;
  };

  uint8_t* TakeFree(size_t slot_bytes);
  void AddSlab(size_t slot_bytes, size_t slots);
  Slab& SlabOf(const uint8_t* slot);
  size_t SlotsOf(size_t slot_bytes) const;

  std::shared_ptr<const Progress> steps_;
  std::mutex mutex_;
  std::map<const uint8_t*, Slab> slabs_;          // by where they begin
  std::map<size_t, std::vector<FreeSlot>> free_;  // by size
};

// A slot of a pool, for as long as this lives.
class WeightMemory {
 public:
  WeightMemory() = default;
  WeightMemory(std::shared_ptr<WeightPool> pool, size_t bytes)
      : pool_(std::move(pool)), memory_(bytes > 0 ? pool_->Take(bytes) : nullptr), bytes_(bytes) {}
  ~WeightMemory() {
    if (memory_ != nullptr) pool_->GiveBack(memory_);
  }
  WeightMemory(WeightMemory&& other) noexcept
      : pool_(std::move(other.pool_)),
        memory_(std::exchange(other.memory_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)) {}
  WeightMemory& operator=(WeightMemory&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  uint8_t* data() const { return memory_; }
  size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<WeightPool> pool_;
  uint8_t* memory_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace conclave::cuda
