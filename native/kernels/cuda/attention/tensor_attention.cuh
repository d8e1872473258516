#pragma once

// Attention by tensor cores over a cache of bf16: queries and weights are rounded to bf16 too, sums
// are f32. Up to 64 queries, of several rows and of all heads that share a key head, read each key
// once.

#include "kernels/cuda/attention/online_softmax.cuh"
#include "kernels/cuda/device/tensor_core.h"

namespace conclave::cuda {

// Rows of one sequence that a block takes.
struct RowTile {
  int32_t first_row;
  int32_t rows;
};

constexpr int kTileQueries = 64;

// kDims: of heads, rounded up. A block takes a tile of rows, a slice of up to 64 / rows heads of a
// key head, and the positions of a split; each of its four warps 16 queries. Query i is head i %
// heads of row i / heads. What a query gets depends on its own row alone: positions that its row
// does not see weigh nothing, and tiles of positions begin at multiples of their length.
template <int kDims>
struct TensorAttention {
  static constexpr int kKeys = 64, kThreads = 128;
  static constexpr int kRowBytes = kDims * 2, kChunks = kRowBytes / 16;
  static constexpr int kTileBytes = kKeys * kRowBytes;
  static constexpr size_t kSharedBytes = size_t{3} * kTileBytes;  // queries, keys, values
  static constexpr int kDimTiles = kDims / 8, kKeyTiles = kKeys / 8;
  static_assert(kTileQueries == kKeys && kChunks % 8 == 0);

  const AttentionArguments& a;
  unsigned char* shared;
  const Bf16* cache;
  const int32_t* table;
  RowTile tile;
  int kv_head;
  int first_head;  // of all query heads
  int heads;       // of the block
  int thread;
  float sums[kDimTiles][4];  // of queries lane / 4 and lane / 4 + 8 of the warp
  OnlineSoftmax softmax[2];

  // Where 16 bytes of a row lie: permuted so that eight rows lie in eight different banks.
  static __device__ __forceinline__ int Place(int row, int chunk) {
    return row * kRowBytes + (chunk ^ (row & 7)) * 16;
  }

  __device__ __forceinline__ int Queries() const { return tile.rows * heads; }
  __device__ __forceinline__ int64_t RowOf(int query) const {
    return tile.first_row + query / heads;
  }

  // Zeros beyond the queries and the width of a head.
  __device__ __forceinline__ void LoadQueries() {
    const int dims = a.params.head_dim;
    for (int at = thread; at < kTileQueries * kDims; at += kThreads) {
      const int query = at / kDims, dim = at % kDims;
      float value = 0;
      if (query < Queries() && dim < dims) {
        const int64_t head = RowOf(query) * a.params.heads + first_head + query % heads;
        value = a.q[head * dims + dim];
      }
      *reinterpret_cast<Bf16*>(shared + Place(query, dim / 8) + dim % 8 * 2) = ToBf16(value);
    }
  }

  // Keys or values of positions [begin, begin + kKeys), zeros where none is wanted.
  __device__ __forceinline__ void Load(int64_t begin, const SeenPositions& wanted, bool values) {
    unsigned char* const to = shared + (values ? 2 : 1) * kTileBytes;
    for (int at = thread; at < kKeys * kChunks; at += kThreads) {
      const int row = at / kChunks, chunk = at % kChunks;
      const int64_t position = begin + row;
      const bool inside =
          position >= wanted.begin && position < wanted.end && chunk * 8 < a.params.head_dim;
      const Bf16* const from =
          inside ? cache + CacheIndex(a.cache, table, position, kv_head, values) + chunk * 8
                 : cache;
      CopyAsync16(to + Place(row, chunk), from, inside);
    }
    CommitCopies();
  }

  // scores = queries of the warp times the tile's keys.
  __device__ __forceinline__ void Score(float (&scores)[kKeyTiles][4]) const {
    const int warp = thread / 32, lane = thread % 32;
#pragma unroll
    for (int k = 0; k < kDims / 16; ++k) {
      uint32_t q[4];
      LoadMatrix4(q, shared + Place(warp * 16 + lane % 16, k * 2 + lane / 16));
#pragma unroll
      for (int j = 0; j < kKeyTiles; j += 2) {
        uint32_t keys[4];
        LoadMatrix4(keys, shared + kTileBytes +
                              Place(j * 8 + lane / 16 * 8 + lane % 8, k * 2 + lane / 8 % 2));
        MultiplyAccumulate(scores[j], q, keys[0], keys[1]);
        MultiplyAccumulate(scores[j + 1], q, keys[2], keys[3]);
      }
    }
  }

  // Scores become weights, and what was summed up so far is scaled to them.
  __device__ __forceinline__ void Weigh(int64_t begin, const SeenPositions (&seen)[2],
                                        float (&scores)[kKeyTiles][4]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float rescale = softmax[half].Weigh(a.params, begin, seen[half], half, scores);
#pragma unroll
      for (int j = 0; j < kDimTiles; ++j) {
        sums[j][half * 2] *= rescale;
        sums[j][half * 2 + 1] *= rescale;
      }
    }
  }

  // sums += weights times the tile's values: the fragments of scores are those of weights.
  __device__ __forceinline__ void AddValues(const float (&weights)[kKeyTiles][4]) {
    const int lane = thread % 32;
#pragma unroll
    for (int k = 0; k < kKeys / 16; ++k) {
      const uint32_t w[4] = {PackBf16(weights[k * 2][0], weights[k * 2][1]),
                             PackBf16(weights[k * 2][2], weights[k * 2][3]),
                             PackBf16(weights[k * 2 + 1][0], weights[k * 2 + 1][1]),
                             PackBf16(weights[k * 2 + 1][2], weights[k * 2 + 1][3])};
#pragma unroll
      for (int j = 0; j < kDimTiles; j += 2) {
        uint32_t values[4];
        LoadMatrix4Transposed(
            values,
            shared + 2 * kTileBytes + Place(k * 16 + lane / 8 % 2 * 8 + lane % 8, j + lane / 16));
        MultiplyAccumulate(sums[j], w, values[0], values[1]);
        MultiplyAccumulate(sums[j + 1], w, values[2], values[3]);
      }
    }
  }

  // As RowAttention leaves what splits give.
  __device__ __forceinline__ void Store(int64_t first_part_row) const {
    const int warp = thread / 32, lane = thread % 32, width = a.params.head_dim;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int query = warp * 16 + lane / 4 + half * 8;
      if (query >= Queries()) continue;
      const int64_t head =
          (RowOf(query) - first_part_row) * a.params.heads + first_head + query % heads;
      float* const output = a.parts + (head * a.splits + blockIdx.z) * (width + 2);
#pragma unroll
      for (int at = 0; at < kDimTiles * 2; ++at) {
        const int dim = at / 2 * 8 + lane % 4 * 2 + at % 2;
        if (dim < width) output[dim] = sums[at / 2][half * 2 + at % 2];
      }
      if (lane % 4 != 0) continue;
      output[width] = softmax[half].highest;
      output[width + 1] = softmax[half].total;
    }
  }

  __device__ __forceinline__ void Run() {
    const int warp = thread / 32, lane = thread % 32;
    const int64_t split_begin = int64_t{blockIdx.z} * kSplitPositions;
    const int64_t split_end = split_begin + kSplitPositions;
    // Of the tile: rows are in ascending order of their positions.
    SeenPositions all = SeenBy(a.params, a.positions[tile.first_row]);
    all.end = int64_t{a.positions[tile.first_row + tile.rows - 1]} + 1;
    all.begin = all.begin > split_begin ? all.begin : split_begin;
    all.end = all.end < split_end ? all.end : split_end;
    if (all.begin >= all.end) return;
    SeenPositions seen[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int query = warp * 16 + lane / 4 + half * 8;
      seen[half] = {0, 0};
      if (query < Queries()) seen[half] = SeenBy(a.params, a.positions[RowOf(query)]);
      softmax[half] = {-kInfinity, 0};
    }
#pragma unroll
    for (int at = 0; at < kDimTiles * 4; ++at) sums[at / 4][at % 4] = 0;
    LoadQueries();
    for (int64_t begin = all.begin / kKeys * kKeys; begin < all.end; begin += kKeys) {
      Load(begin, all, false);
      Load(begin, all, true);
      WaitCopies<1>();
      __syncthreads();  // The keys are in, and at first the queries.
      float scores[kKeyTiles][4] = {};
      if (warp * 16 < Queries()) {
        Score(scores);
        Weigh(begin, seen, scores);
      }
      WaitCopies<0>();
      __syncthreads();  // The values are in.
      if (warp * 16 < Queries()) AddValues(scores);
      __syncthreads();  // All threads are done with keys and values.
    }
    Store(a.first_row);
  }
};

// Grid: tiles of the launch, slices of heads of each key head, splits.
template <int kDims>
__global__ void __launch_bounds__(128)
    AttendTile(const __grid_constant__ AttentionArguments a, const RowTile* tiles, int slice) {
  const RowTile tile = tiles[blockIdx.x];
  const int group = a.params.heads / a.params.kv_heads;
  const int slices = static_cast<int>(Parts(group, slice));
  const int kv_head = static_cast<int>(blockIdx.y) / slices;
  const int in_group = static_cast<int>(blockIdx.y) % slices * slice;
  TensorAttention<kDims> attention{
      .a = a,
      .shared = SharedMemory(),
      .cache = static_cast<const Bf16*>(a.cache.data),
      .table = a.block_tables + a.block_offsets[a.row_sequences[tile.first_row]],
      .tile = tile,
      .kv_head = kv_head,
      .first_head = kv_head * group + in_group,
      .heads = group - in_group < slice ? group - in_group : slice,
      .thread = static_cast<int>(threadIdx.x),
      .sums = {},
      .softmax = {}};
  attention.Run();
}

}  // namespace conclave::cuda
