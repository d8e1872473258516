#include "kernels/cpu/attention/plan.h"

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/attention/kernel.h"

namespace conclave {
namespace {

// Query vectors of a unit: what shares a segment of keys and values while a core's cache holds it.
constexpr int kUnitVectors = 64;
// Reading keys and values costs as much as this many vectors that are multiplied by them.
constexpr int kReadCost = 4;
// Most memory for the results of segments.
constexpr int64_t kMaxPartFloats = int64_t{8} << 20;

void AddUnits(const AttentionBatch& batch, int sequence, std::vector<AttentionUnit>* units) {
  const int64_t unit_rows = std::max(1, kUnitVectors / batch.group());
  const int64_t begin = batch.where.sequence_offsets[static_cast<size_t>(sequence)];
  const int64_t end = batch.where.sequence_offsets[static_cast<size_t>(sequence) + 1];
  for (int64_t row = begin; row < end; row += unit_rows) {
    const int64_t rows = std::min(unit_rows, end - row);
    const int64_t first_key = batch.FirstKey(batch.PositionOf(row));
    const int64_t end_key = batch.PositionOf(row) + rows;
    for (int head = 0; head < batch.params.kv_heads; ++head) {
      units->push_back({.row = row,
                        .rows = static_cast<int>(rows),
                        .sequence = sequence,
                        .kv_head = head,
                        .first_segment = batch.layout.GroupOf(first_key) / kSegmentGroups,
                        .end_segment = batch.layout.GroupOf(end_key - 1) / kSegmentGroups + 1,
                        .cost = (end_key - first_key) * (rows * batch.group() + kReadCost),
                        .part = -1});
    }
  }
}

}  // namespace

void AttentionPlan::Make(const AttentionBatch& batch, int threads) {
  units.clear();
  tasks.clear();
  const int sequences = static_cast<int>(batch.where.sequence_offsets.size()) - 1;
  for (int sequence = 0; sequence < sequences; ++sequence) AddUnits(batch, sequence, &units);
  std::sort(units.begin(), units.end(), [](const AttentionUnit& a, const AttentionUnit& b) {
    return a.cost != b.cost ? a.cost > b.cost
           : a.row != b.row ? a.row < b.row
                            : a.kv_head < b.kv_head;
  });
  int64_t total = 0;
  for (const AttentionUnit& unit : units) total += unit.cost;

  const int64_t share = total / (int64_t{2} * threads);
  int64_t floats = 0;
  cut_units = 0;
  for (size_t i = 0; i < units.size(); ++i) {
    AttentionUnit& unit = units[i];
    const int64_t segments = unit.end_segment - unit.first_segment;
    const int64_t wanted =
        segments * StateFloats(int64_t{unit.rows} * batch.group(), batch.layout.value_dims);
    const bool cut = threads > 1 && cut_units == static_cast<int64_t>(i) && unit.cost > share &&
                     segments > 1 && floats + wanted <= kMaxPartFloats;
    if (!cut) {
      tasks.push_back({static_cast<int>(i), -1});
      continue;
    }
    unit.part = floats;
    floats += wanted;
    ++cut_units;
    for (int64_t s = unit.first_segment; s < unit.end_segment; ++s) {
      tasks.push_back({static_cast<int>(i), s});
    }
  }
  if (static_cast<int64_t>(parts.size()) < floats) parts.resize(static_cast<size_t>(floats));
}

}  // namespace conclave
