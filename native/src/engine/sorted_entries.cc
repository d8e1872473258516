#include "conclave/engine/sorted_entries.h"

namespace conclave {

void SortedEntries::Sort(std::span<const ExpertEntry> entries, int64_t slots) {
  ends_.assign(static_cast<size_t>(slots) + 1, 0);
  for (const ExpertEntry& entry : entries) ++ends_[entry.slot + 1];
  used_.clear();
  for (int64_t slot = 0; slot < slots; ++slot) {
    if (ends_[slot + 1] > 0) used_.push_back(static_cast<int32_t>(slot));
    ends_[slot + 1] += ends_[slot];
  }
  sorted_.resize(entries.size());
  for (const ExpertEntry& entry : entries) sorted_[ends_[entry.slot]++] = entry;
}

}  // namespace conclave
