#include <algorithm>
#include <map>

#include "cuda/device-check/workload/materials.h"

namespace conclave::device_check {

Operation Experts(Materials& m) {
  std::vector<FfnPtr> experts;
  for (int i = 0; i < m.shape.experts; ++i) experts.push_back(m.Expert());
  const Totals totals = m.arena.Take<double>(m.most_rows, m.shape.hidden);
  const auto route = [count = m.shape.experts, top_k = m.shape.top_k](int64_t rows) {
    std::vector<ExpertEntry> entries;
    for (int64_t row = 0; row < rows; ++row) {
      for (int j = 0; j < top_k; ++j)
        entries.push_back({static_cast<int32_t>((row * 37 + j) % count), static_cast<int32_t>(row),
                           1.0f / static_cast<float>(top_k)});
    }
    std::stable_sort(entries.begin(), entries.end(),
                     [](const auto& a, const auto& b) { return a.slot < b.slot; });
    return entries;
  };
  struct Routed {
    std::vector<ExpertEntry> entries;
    std::vector<ExpertGroup> groups;
  };
  const auto group = [experts, route](int64_t rows) {
    Routed made{route(rows), {}};
    for (size_t i = 0; i < made.entries.size(); ++i) {
      const int32_t slot = made.entries[i].slot;
      if (i == 0 || slot != made.entries[i - 1].slot) {
        made.groups.push_back(
            {experts[static_cast<size_t>(slot)].get(), static_cast<int64_t>(i), 0});
      }
      made.groups.back().end = static_cast<int64_t>(i) + 1;
    }
    return made;
  };
  const auto routed = std::make_shared<std::map<int64_t, Routed>>();
  const auto run = [backend = &m.backend, totals, group, routed, x = m.normed,
                    grid = m.grid](int64_t rows) {
    if (!routed->contains(rows)) routed->emplace(rows, group(rows));
    const Routed& made = routed->at(rows);
    backend->Experts(made.groups, made.entries, ExpertWeights::kOnOutput, x.Slice(0, rows),
                     grid.Slice(0, rows), totals.Slice(0, rows));
  };
  const double hidden = double(m.shape.hidden);
  const double pairs = m.shape.top_k;
  const double ffn_flops = 6 * hidden * double(m.shape.width);
  return {"experts",
          m.most_rows,
          [=](int64_t rows) {
            const std::vector<ExpertEntry> entries = route(rows);
            double bytes = 12 * double(rows) * hidden;  // x, and totals in f64
            for (size_t i = 0; i < entries.size(); ++i) {
              if (i == 0 || entries[i].slot != entries[i - 1].slot)
                bytes += double(experts[static_cast<size_t>(entries[i].slot)]->bytes());
            }
            return bytes;
          },
          [=](int64_t rows) { return double(rows) * pairs * ffn_flops; },
          run,
          {}};
}

}  // namespace conclave::device_check
