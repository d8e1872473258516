// Attention over a paged cache.

#include <algorithm>

#include "kernels/cuda/attention/append.cuh"
#include "kernels/cuda/attention/row_attention.cuh"
#include "kernels/cuda/attention/tensor_attention.cuh"
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

// By the shape alone, so that bits do not depend on the batch.
bool OnTensorCores(const AttentionArguments& a) {
  return a.cache.bf16 && a.selected == nullptr && a.params.values_inside == 0 &&
         a.value_dim() == a.params.head_dim && a.params.head_dim % 8 == 0 &&
         a.params.head_dim <= 128;
}

// Rows [first, end) in tiles: none has rows of two sequences.
std::vector<RowTile> TilesOf(const SequenceRows& where, int64_t first, int64_t end, int64_t rows) {
  std::vector<RowTile> tiles;
  for (size_t s = 0; s + 1 < where.sequence_offsets.size(); ++s) {
    const int64_t last = std::min<int64_t>(where.sequence_offsets[s + 1], end);
    for (int64_t at = std::max<int64_t>(where.sequence_offsets[s], first); at < last; at += rows) {
      tiles.push_back({static_cast<int32_t>(at), static_cast<int32_t>(std::min(rows, last - at))});
    }
  }
  return tiles;
}

template <int kDims>
void AttendTiles(Stream& stream, const AttentionArguments& a, const RowTile* tiles, int64_t count,
                 int heads, int64_t rows) {
  const int64_t slices = a.params.kv_heads * Parts(a.params.heads / a.params.kv_heads, heads);
  using Attention = TensorAttention<kDims>;
  Launch<AttendTile<kDims>>(stream, "attention", {count, slices, a.splits}, Attention::kThreads,
                            Attention::kSharedBytes, a, tiles, heads);
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
  if (k.rows > 0)
    a.cache.bf16 ? Append<Bf16>(stream_, a, q.rows) : Append<float>(stream_, a, q.rows);
  for (; a.first_row < q.rows; a.first_row += piece) {
    const int64_t count = std::min(piece, q.rows - a.first_row);
    if (OnTensorCores(a)) {
      const Arena::Scope piece_scope(scratch());
      const int heads = std::min(params.heads / params.kv_heads, kTileQueries);
      const std::vector<RowTile> tiles =
          TilesOf(rows.where(), a.first_row, a.first_row + count, kTileQueries / heads);
      const RowTile* const sent = Send(std::span<const RowTile>(tiles), "tiles of rows");
      const auto attend = params.head_dim <= 64 ? AttendTiles<64> : AttendTiles<128>;
      attend(stream_, a, sent, static_cast<int64_t>(tiles.size()), heads, count);
      continue;
    }
    a.cache.bf16 ? AttendRows<Bf16>(stream_, a, count) : AttendRows<float>(stream_, a, count);
  }
}

}  // namespace conclave::cuda
