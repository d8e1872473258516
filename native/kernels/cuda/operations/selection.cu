// Selection of the positions that attention reads.

#include <algorithm>

#include "kernels/cuda/attention/append.cuh"
#include "kernels/cuda/attention/selection.cuh"
#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

// Of scores: rows are taken in pieces that need no more.
constexpr int64_t kMostScores = int64_t{16} << 20;

template <typename Element>
void Append(Stream& stream, const SelectionArguments& s, const float* k, int64_t rows) {
  AttentionArguments a{};
  a.params.kv_heads = 1;
  a.cache = s.cache;
  a.positions = s.positions;
  a.row_sequences = s.row_sequences;
  a.block_tables = s.block_tables;
  a.block_offsets = s.block_offsets;
  LaunchElements(stream, "cache of index keys", rows * s.params.head_dim,
                 AppendToCache<Element>{a, k, s.params.head_dim, false});
}

template <typename Element>
void SelectRows(Stream& stream, const SelectionArguments& a, int64_t rows) {
  const int64_t selections = rows * a.selectors;
  LaunchElements(stream, "scores of positions", selections * a.longest, ScorePositions<Element>{a});
  LaunchElements(stream, "best of blocks", selections * a.blocks, FindBest{a});
  Launch<KeepBlocks>(stream, "selection of positions", {.x = selections}, 32, 0, a);
  LaunchElements(stream, "selected positions", selections * a.words, WriteWords{a});
}

}  // namespace

void CudaBackend::SelectKeys(const SelectionParams& params, const StepRows& where, const Tensor& q,
                             const Tensor& k, const Tensor* weights, PagedCache& cache,
                             const KeySelection& output) {
  const int64_t longest = OnDevice(where).longest() / params.span;
  if (q.rows == 0) return;
  const Arena::Scope scope(scratch());
  const CudaStepRows& rows = OnDevice(where);
  SelectionArguments a{.params = params,
                       .cache = static_cast<CudaCache&>(cache).view(),
                       .q = DevicePointer(q),
                       .weights = weights != nullptr ? DevicePointer(*weights) : nullptr,
                       .positions = rows.positions(),
                       .row_sequences = rows.row_sequences(),
                       .block_tables = rows.block_tables(),
                       .block_offsets = rows.block_offsets(),
                       .selectors = output.selectors,
                       .first_row = 0,
                       .longest = std::max<int64_t>(longest, 1),
                       .blocks = Parts(std::max<int64_t>(longest, 1), params.block_size),
                       .scores = nullptr,
                       .best = nullptr,
                       .kept = nullptr,
                       .words = output.words_each(),
                       .output = DevicePointer(output.words)};
  const int64_t each = a.selectors * a.longest;
  const int64_t piece = std::clamp<int64_t>(kMostScores / each, 1, q.rows);
  a.scores = Scratch<float>(piece, each);
  a.best = Scratch<float>(piece, a.selectors * a.blocks);
  a.kept = Scratch<int32_t>(piece, a.selectors * a.blocks);
  const float* const keys = DevicePointer(k);
  if (params.span == 1)
    a.cache.bf16 ? Append<Bf16>(stream_, a, keys, q.rows) : Append<float>(stream_, a, keys, q.rows);
  for (; a.first_row < q.rows; a.first_row += piece) {
    const int64_t count = std::min(piece, q.rows - a.first_row);
    a.cache.bf16 ? SelectRows<Bf16>(stream_, a, count) : SelectRows<float>(stream_, a, count);
  }
}

}  // namespace conclave::cuda
