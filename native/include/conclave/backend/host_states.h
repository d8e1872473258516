#pragma once

#include <cstdint>
#include <vector>

#include "conclave/backend/cache.h"

namespace conclave {

// States in a HostBackend's memory.
class HostStates final : public StateStore {
 public:
  // Takes all of its memory at once: throws kOutOfMemory now rather than fail in a later step.
  explicit HostStates(const StateShape& shape);
  size_t bytes() const override { return values_.size() * sizeof(float); }
  int64_t elements() const { return shape_.elements; }
  float* Slot(int64_t slot) { return values_.data() + slot * shape_.elements; }

  // proto/model/cache.ts says the same.
  static size_t BytesFor(const StateShape& shape);

 private:
  StateShape shape_;
  std::vector<float> values_;
};

}  // namespace conclave
