// Experts as one grouped matmul over rows that are gathered by expert; then each row adds up what
// is its own.

#include <algorithm>
#include <cstring>
#include <vector>

#include "conclave/base/parallel_rows.h"
#include "kernels/cpu/backend.h"
#include "kernels/cpu/backend/weights.h"
#include "kernels/cpu/exact_sum/exact_sum.h"

namespace conclave {
namespace {

// The entries of each row: those of row r are order[begins[r]] to order[begins[r + 1] - 1].
struct RowEntries {
  std::vector<int64_t> begins;
  std::vector<int64_t> order;

  RowEntries(std::span<const ExpertEntry> entries, int64_t rows)
      : begins(static_cast<size_t>(rows) + 2, 0), order(entries.size()) {
    for (const ExpertEntry& entry : entries) ++begins[entry.row + 2];
    for (int64_t row = 0; row < rows; ++row) begins[row + 2] += begins[row + 1];
    for (size_t i = 0; i < entries.size(); ++i)
      order[begins[entries[i].row + 1]++] = static_cast<int64_t>(i);
  }
};

}  // namespace

void CpuBackend::Experts(std::span<const ExpertGroup> groups, std::span<const ExpertEntry> entries,
                         ExpertWeights applied, const Tensor& x, const Grid& grid,
                         const Totals& totals) {
  const bool on_input = applied == ExpertWeights::kOnInput;
  const Arena::Scope scope(scratch());
  const int64_t width = x.width;
  const auto count = static_cast<int64_t>(entries.size());
  float* const gathered = HostPointer(scratch().Rows(count, width));
  float* const outputs = HostPointer(scratch().Rows(count, width));
  ParallelRows(pool(), count, width, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) {
      std::memcpy(gathered + i * width, HostPointer(x) + entries[i].row * width,
                  static_cast<size_t>(width) * sizeof(float));
      if (!on_input) continue;
      for (int64_t j = 0; j < width; ++j) gathered[i * width + j] *= entries[i].weight;
    }
  });

  std::vector<FfnGroup> ffns;
  for (const ExpertGroup& group : groups)
    ffns.push_back({&WeightsOf(*group.ffn), group.begin, group.end});
  if (!ffns.empty()) kernels_->GroupedFfn(pool(), ffns, gathered, outputs);

  const RowEntries of(entries, x.rows);
  ParallelRows(pool(), x.rows, width * 8, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      double* const target = HostPointer(totals) + row * width;
      for (int64_t j = of.begins[row]; j < of.begins[row + 1]; ++j) {
        const int64_t entry = of.order[j];
        AddTerm(isa_, outputs + entry * width, on_input ? 1 : entries[entry].weight,
                HostPointer(grid)[row], width, target);
      }
    }
  });
}

}  // namespace conclave
