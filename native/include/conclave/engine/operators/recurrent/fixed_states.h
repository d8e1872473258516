#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "conclave/backend/backend.h"
#include "conclave/engine/cache_options.h"
#include "conclave/model/slicing.h"

namespace conclave {

// What a share of one operator keeps of sequences in a fixed size: its states, each in a store of
// its own, and how far the sequence in each slot has come.
class FixedStates {
 public:
  // Throws kInvalidArgument when there are no slots.
  FixedStates(const Backend& backend, const FixedCacheSpec& spec, const Share& share,
              const CacheOptions& cache);

  // Takes the memory, once, before the first Enter.
  void Take(Backend& backend);
  // Before a step's rows go through the states: sequences that begin get zeros. Throws
  // kInvalidArgument, changing nothing, where a sequence's rows do not follow those that its state
  // has seen: what it would give is not the sequence's.
  void Enter(Backend& backend, const SequenceRows& where);
  // In the order of the spec.
  StateStore& store(size_t state) { return *stores_[state]; }

  uint64_t bytes() const { return bytes_; }

 private:
  std::vector<StateShape> shapes_;
  uint64_t bytes_ = 0;
  std::vector<std::unique_ptr<StateStore>> stores_;
  std::vector<int32_t> next_;  // [slots]; the position that each state waits for
};

}  // namespace conclave
