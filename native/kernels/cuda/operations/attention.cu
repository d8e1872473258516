// Attention over a paged cache.

#include <algorithm>

#include "kernels/cuda/attention/append.cuh"
#include "kernels/cuda/attention/row_attention.cuh"
#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

// Of what splits give, before it is merged: rows are taken in pieces that need no more.
constexpr int64_t kMostPartBytes = int64_t{64} << 20;

template <typename Element>
void Append(Stream& stream, const AttentionArguments& a, int64_t rows) {
  const auto append = [&](const float* x, int64_t dims, bool values) {
    LaunchElements(stream, "cache of keys and values", rows * a.params.kv_heads * dims,
                   AppendToCache<Element>{a, x, dims, values});
  };
  append(a.k, a.params.head_dim, false);
  if (a.v != nullptr) append(a.v, a.value_dim(), true);
}

template <typename Element>
void AttendRows(Stream& stream, const AttentionArguments& a, int64_t rows) {
  using Attention = RowAttention<Element>;
  const int64_t slices =
      a.params.kv_heads * Parts(a.params.heads / a.params.kv_heads, Attention::kHeads);
  Launch<AttendRow<Element>>(stream, "attention", {rows, slices, a.splits}, Attention::kThreads,
                             Attention::SharedBytes(a.params.head_dim, a.value_dim()), a);
  Launch<MergeSplits>(stream, "attention", {rows, a.params.heads}, 128, 0, a);
}

}  // namespace

void CudaBackend::Attend(const AttentionParams& params, const StepRows& where, const Tensor& q,
                         const Tensor& k, const Tensor& v, const Vector* sinks, PagedCache& cache,
                         const Tensor& output, const KeySelection* selection) {
  if (q.rows == 0) return;
  const Arena::Scope scope(scratch());
  const CudaStepRows& rows = OnDevice(where);
  AttentionArguments a{.params = params,
                       .cache = static_cast<CudaCache&>(cache).view(),
                       .q = DevicePointer(q),
                       .k = DevicePointer(k),
                       .v = params.values_inside > 0 ? nullptr : DevicePointer(v),
                       .sinks = DevicePointer(sinks),
                       .positions = rows.positions(),
                       .row_sequences = rows.row_sequences(),
                       .block_tables = rows.block_tables(),
                       .block_offsets = rows.block_offsets(),
                       .first_row = 0,
                       .splits = static_cast<int>(Parts(rows.longest(), kSplitPositions)),
                       .parts = nullptr,
                       .output = DevicePointer(output),
                       .selected = selection != nullptr ? DevicePointer(selection->words) : nullptr,
                       .selectors = selection != nullptr ? selection->selectors : 1,
                       .words = selection != nullptr ? selection->words_each() : 0};
  const int64_t part_width = int64_t{params.heads} * a.splits * (a.value_dim() + 2);
  const int64_t piece = std::clamp<int64_t>(
      kMostPartBytes / (part_width * static_cast<int64_t>(sizeof(float))), 1, q.rows);
  a.parts = Scratch<float>(piece, part_width);
  a.cache.bf16 ? Append<Bf16>(stream_, a, q.rows) : Append<float>(stream_, a, q.rows);
  for (; a.first_row < q.rows; a.first_row += piece) {
    const int64_t count = std::min(piece, q.rows - a.first_row);
    a.cache.bf16 ? AttendRows<Bf16>(stream_, a, count) : AttendRows<float>(stream_, a, count);
  }
}

}  // namespace conclave::cuda
