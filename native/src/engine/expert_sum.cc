#include "conclave/engine/expert_sum.h"

#include <algorithm>
#include <cstring>

#include "conclave/base/parallel_rows.h"
#include "kernels/cpu/exact_sum/exact_sum.h"

namespace conclave {

void ExpertSum::Sort(std::span<const ExpertEntry> entries, int64_t slots) {
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

void ExpertSum::Run(Compute& compute, std::span<const FfnWeights* const> weights,
                    const float* input, std::span<const int32_t> grid, int64_t hidden,
                    double* totals) {
  const auto rows = static_cast<int64_t>(grid.size());
  const auto entries = static_cast<int64_t>(sorted_.size());
  const size_t row_bytes = static_cast<size_t>(hidden) * sizeof(float);
  float* gathered = gathered_.Reserve(entries * hidden);
  float* outputs = outputs_.Reserve(entries * hidden);
  ParallelRows(compute.pool, entries, hidden, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) {
      std::memcpy(gathered + i * hidden, input + sorted_[i].row * hidden, row_bytes);
    }
  });

  std::vector<FfnGroup> groups;
  int64_t begin = 0;
  for (size_t i = 0; i < used_.size(); ++i) {
    const int64_t end = ends_[used_[i]];
    groups.push_back({weights[i], begin, end});
    begin = end;
  }
  if (!groups.empty()) compute.kernels->GroupedFfn(compute.pool, groups, gathered, outputs);

  row_begins_.assign(static_cast<size_t>(rows) + 2, 0);
  for (const ExpertEntry& entry : sorted_) ++row_begins_[entry.row + 2];
  for (int64_t row = 0; row < rows; ++row) row_begins_[row + 2] += row_begins_[row + 1];
  row_entries_.resize(sorted_.size());
  for (int64_t i = 0; i < entries; ++i) row_entries_[row_begins_[sorted_[i].row + 1]++] = i;

  ParallelRows(compute.pool, rows, hidden * 8, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      double* target = totals + row * hidden;
      std::fill_n(target, hidden, 0.0);
      for (int64_t j = row_begins_[row]; j < row_begins_[row + 1]; ++j) {
        const int64_t entry = row_entries_[j];
        AddTerm(compute.isa, outputs + entry * hidden, sorted_[entry].weight, grid[row], hidden,
                target);
      }
    }
  });
}

}  // namespace conclave
