// Exact sums: see exact_sum.h.

#include <algorithm>
#include <atomic>

#include "conclave/base/parallel_rows.h"
#include "kernels/cpu/backend.h"
#include "kernels/cpu/exact_sum/exact_sum.h"

namespace conclave {

void CpuBackend::Clear(const Totals& totals) {
  double* const out = HostPointer(totals);
  ParallelRows(pool(), totals.rows, totals.width, [&](int64_t first, int64_t end) {
    std::fill(out + first * totals.width, out + end * totals.width, 0.0);
  });
}

void CpuBackend::AddTerms(const Tensor& terms, const Grid& grid, const Totals& totals) {
  const int64_t width = totals.width;
  ParallelRows(pool(), totals.rows, width, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      AddTerm(isa_, HostPointer(terms) + row * width, 1, HostPointer(grid)[row], width,
              HostPointer(totals) + row * width);
    }
  });
}

void CpuBackend::AddEncoded(std::span<const int32_t> rows, PartialType type,
                            std::span<const uint8_t> bytes, const Totals& totals) {
  const auto row_bytes = totals.width * static_cast<int64_t>(PartialBytes(type));
  ParallelRows(pool(), static_cast<int64_t>(rows.size()), totals.width,
               [&](int64_t first, int64_t end) {
                 for (int64_t i = first; i < end; ++i) {
                   conclave::AddEncoded(isa_, type, bytes.data() + i * row_bytes, totals.width,
                                        HostPointer(totals) + rows[i] * totals.width);
                 }
               });
}

void CpuBackend::AddTotals(const Totals& totals, const Grid& grid, float multiplier,
                           const Tensor& x) {
  const int64_t width = totals.width;
  ParallelRows(pool(), totals.rows, width, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      AddTotal(isa_, HostPointer(totals) + row * width, HostPointer(grid)[row], multiplier, width,
               HostPointer(x) + row * width);
    }
  });
}

void CpuBackend::TakeTotals(const Totals& totals, const Grid& grid, const Tensor& output) {
  const int64_t width = totals.width;
  ParallelRows(pool(), totals.rows, width, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      float* const out = HostPointer(output) + row * width;
      std::fill_n(out, width, 0.0f);
      AddTotal(isa_, HostPointer(totals) + row * width, HostPointer(grid)[row], 1, width, out);
    }
  });
}

EncodedTotals CpuBackend::Encode(const Totals& totals) {
  const double* const in = HostPointer(totals);
  std::atomic<PartialType> widest = PartialType::kI24;
  ParallelRows(pool(), totals.rows, totals.width, [&](int64_t first, int64_t end) {
    const PartialType type =
        NarrowestType(isa_, in + first * totals.width, (end - first) * totals.width);
    PartialType known = widest;
    while (known < type && !widest.compare_exchange_weak(known, type)) continue;
  });
  const PartialType type = widest;
  const auto row_bytes = static_cast<int64_t>(PartialBytes(type)) * totals.width;
  std::vector<uint8_t> partial(static_cast<size_t>(totals.rows * row_bytes));
  ParallelRows(pool(), totals.rows, totals.width, [&](int64_t first, int64_t end) {
    EncodeTotals(isa_, type, in + first * totals.width, (end - first) * totals.width,
                 partial.data() + first * row_bytes);
  });
  return {type, std::move(partial)};
}

}  // namespace conclave
