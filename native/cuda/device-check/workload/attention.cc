#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "cuda/device-check/workload/materials.h"

namespace conclave::device_check {
namespace {

constexpr int kBlockSize = 16;

// Sequences of one row each, behind `context` positions; or one sequence of all rows.
struct Places {
  std::vector<int32_t> positions, sequence_offsets, block_tables, block_offsets;
  double keys = 0;  // that all rows read

  Places(int64_t rows, int context, bool decode) {
    const int64_t sequences = decode ? rows : 1;
    const int64_t length = decode ? context + 1 : rows;
    const int64_t blocks = (length + kBlockSize - 1) / kBlockSize;
    for (int64_t row = 0; row < rows; ++row)
      positions.push_back(static_cast<int32_t>(decode ? context : row));
    for (int64_t i = 0; i <= sequences; ++i) {
      sequence_offsets.push_back(static_cast<int32_t>(decode ? i : i * rows));
      block_offsets.push_back(static_cast<int32_t>(i * blocks));
    }
    block_tables.resize(static_cast<size_t>(sequences * blocks));
    std::iota(block_tables.begin(), block_tables.end(), 0);
    keys = decode ? double(rows) * double(length) : double(rows) * double(rows + 1) / 2;
  }
  SequenceRows where() const { return {positions, sequence_offsets, block_tables, block_offsets}; }
};

}  // namespace

Operation Attention(Materials& m) {
  const int64_t longest = std::max<int64_t>(
      m.most_rows, std::min<int64_t>(m.most_rows, 256) * (m.shape.context + 1 + kBlockSize));
  const KvCacheShape cache_shape{longest / kBlockSize + 1, kBlockSize, m.shape.kv_heads,
                                 m.shape.head_dim};
  const std::shared_ptr<PagedCache> cache = m.backend.CreateCache(cache_shape, KvType::kBF16);
  const Tensor q = m.Activations(m.shape.heads * m.shape.head_dim);
  const Tensor k = m.Activations(m.shape.kv_heads * m.shape.head_dim);
  const Tensor v = m.Activations(m.shape.kv_heads * m.shape.head_dim);
  const Tensor y = m.arena.Rows(m.most_rows, q.width);
  AttentionParams params;
  params.heads = m.shape.heads;
  params.kv_heads = m.shape.kv_heads;
  params.head_dim = m.shape.head_dim;
  params.scale = 1 / std::sqrt(static_cast<float>(m.shape.head_dim));
  const int context = m.shape.context;
  const auto places = [context](int64_t rows) { return Places(rows, context, rows <= 256); };
  // Placed once for each number of rows, as a step is for all layers.
  struct Placed {
    Places places;
    std::unique_ptr<StepRows> where;
  };
  const auto placed = std::make_shared<std::map<int64_t, Placed>>();
  const auto run = [backend = &m.backend, cache, q, k, v, y, params, places, placed](int64_t rows) {
    if (!placed->contains(rows)) {
      Placed& made = placed->emplace(rows, Placed{places(rows), nullptr}).first->second;
      made.where = backend->Place(made.places.where());
    }
    backend->Attend(params, *placed->at(rows).where, q.Slice(0, rows), k.Slice(0, rows),
                    v.Slice(0, rows), nullptr, *cache, y.Slice(0, rows));
  };
  const double key_bytes = 2.0 * 2 * m.shape.kv_heads * m.shape.head_dim;
  const double flops = 4.0 * m.shape.heads * m.shape.head_dim;
  // A prompt's keys are read once at least.
  return {"attention",
          m.most_rows,
          [=](int64_t rows) {
            const double keys = rows <= 256 ? places(rows).keys : double(rows);
            return keys * key_bytes + Floats(2 * double(rows) * double(q.width));
          },
          [=](int64_t rows) { return places(rows).keys * flops; },
          run,
          {}};
}

}  // namespace conclave::device_check
