#include "conclave/engine/encoded_totals.h"

#include <algorithm>
#include <atomic>

#include "conclave/base/parallel_rows.h"
#include "kernels/cpu/exact_sum/exact_sum.h"

namespace conclave {

EncodedTotals EncodeTotals(Compute& compute, const double* totals, int64_t rows, int64_t width) {
  std::atomic<PartialType> widest = PartialType::kI24;
  ParallelRows(compute.pool, rows, width, [&](int64_t first, int64_t end) {
    const PartialType type =
        NarrowestType(compute.isa, totals + first * width, (end - first) * width);
    PartialType known = widest;
    while (known < type && !widest.compare_exchange_weak(known, type)) continue;
  });
  const PartialType type = widest;
  const auto row_bytes = static_cast<int64_t>(PartialBytes(type)) * width;
  std::vector<uint8_t> partial(static_cast<size_t>(rows * row_bytes));
  ParallelRows(compute.pool, rows, width, [&](int64_t first, int64_t end) {
    EncodeTotals(compute.isa, type, totals + first * width, (end - first) * width,
                 partial.data() + first * row_bytes);
  });
  return {type, std::move(partial)};
}

void AddTerms(Compute& compute, const float* terms, std::span<const int32_t> grid, int64_t width,
              double* totals) {
  ParallelRows(
      compute.pool, static_cast<int64_t>(grid.size()), width, [&](int64_t first, int64_t end) {
        for (int64_t row = first; row < end; ++row) {
          AddTerm(compute.isa, terms + row * width, 1, grid[row], width, totals + row * width);
        }
      });
}

void ClearTotals(Compute& compute, int64_t rows, int64_t width, double* totals) {
  ParallelRows(compute.pool, rows, width, [&](int64_t first, int64_t end) {
    std::fill(totals + first * width, totals + end * width, 0.0);
  });
}

}  // namespace conclave
