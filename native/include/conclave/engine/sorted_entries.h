#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "conclave/backend/operations.h"

namespace conclave {

// Entries sorted by slot, so that each expert runs once over all of its rows.
class SortedEntries {
 public:
  // Of entries whose slots lie in [0, slots). Keeps the order of those of a slot.
  void Sort(std::span<const ExpertEntry> entries, int64_t slots);

  std::span<const ExpertEntry> entries() const { return sorted_; }
  // The slots that occur, ascending.
  std::span<const int32_t> used() const { return used_; }
  // Where the entries of used()[i] end.
  int64_t end(size_t i) const { return ends_[static_cast<size_t>(used_[i])]; }

 private:
  std::vector<ExpertEntry> sorted_;
  std::vector<int64_t> ends_;  // [slots + 1]; where each slot's entries end in sorted_
  std::vector<int32_t> used_;
};

}  // namespace conclave
