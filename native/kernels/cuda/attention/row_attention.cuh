#pragma once

// Attention of one row at a time, in f32, over keys of f32 or bf16: each key is read once for up to
// eight query heads that share it.

#include "kernels/cuda/attention/arguments.h"

namespace conclave::cuda {

// A block takes a row, up to kHeads query heads of a key head, and the positions of a split. Keys
// come in tiles of kKeys positions.
template <typename Element>
struct RowAttention {
  static constexpr int kHeads = 8, kKeys = 64, kThreads = 128;
  static constexpr int kDims = 32;           // of keys that are in shared memory at once
  static constexpr int kStride = kDims + 1;  // of them, so that positions fall into all banks
  static constexpr int kHeadsPerThread = kHeads * kKeys / kThreads;
  static constexpr int kLanes = kThreads / kHeads;  // that find a head's softmax

  static __host__ __device__ size_t SharedBytes(int head_dim, int value_dim) {
    return sizeof(float) *
           static_cast<size_t>(kHeads * (head_dim + value_dim + kKeys + kLanes + 3) +
                               kKeys * kStride);
  }

  float* queries;  // [kHeads, head_dim]
  float* sums;     // [kHeads, value_dim]: of values, weighted
  float* weights;  // [kHeads, kKeys]: scores, then e^(score - highest)
  float* parts;    // [kHeads, kLanes]
  float* highest;  // [kHeads]
  float* totals;   // [kHeads]: of weights
  float* rescale;  // [kHeads]
  float* keys;     // [kKeys, kStride]
  const AttentionArguments& a;
  const Element* cache;
  const int32_t* table;
  const int32_t* selected;  // words of the row; null: all
  int kv_head;
  int heads;  // of the block
  int thread;

  // Scores of the tile's positions [begin, begin + count), and -infinity beyond.
  __device__ __forceinline__ void Score(int64_t begin, int count) {
    const int key = thread % kKeys, first_head = thread / kKeys * kHeadsPerThread;
    const int dims = a.params.head_dim;
    float scores[kHeadsPerThread] = {};
    for (int first = 0; first < dims; first += kDims) {
      __syncthreads();  // All threads are done with the keys before.
      for (int at = thread; at < kKeys * kDims; at += kThreads) {
        const int row = at / kDims, dim = first + at % kDims;
        float value = 0;
        if (row < count && dim < dims)
          value = ToFloat(cache[CacheIndex(a.cache, table, begin + row, kv_head, false) + dim]);
        keys[row * kStride + at % kDims] = value;
      }
      __syncthreads();
      const int end = dims - first < kDims ? dims - first : kDims;
      for (int dim = 0; dim < end; ++dim) {
        const float value = keys[key * kStride + dim];
#pragma unroll
        for (int j = 0; j < kHeadsPerThread; ++j) {
          if (first_head + j < heads)
            scores[j] =
                MultiplyAdd(queries[(first_head + j) * dims + first + dim], value, scores[j]);
        }
      }
    }
    for (int j = 0; j < kHeadsPerThread; ++j) {
      float score = scores[j] * a.params.scale;
      if (a.params.softcap > 0) score = a.params.softcap * tanhf(score / a.params.softcap);
      const bool read = key < count && IsSelected(selected, begin + key);
      weights[(first_head + j) * kKeys + key] = read ? score : -kInfinity;
    }
    __syncthreads();
  }

  // Weights from scores, by kLanes threads for each head.
  __device__ __forceinline__ void Weigh(int count) {
    const int head = thread / kLanes, lane = thread % kLanes;
    float* const own = weights + head * kKeys;
    float most = -kInfinity;
    for (int key = lane; key < count; key += kLanes) most = fmaxf(most, own[key]);
    parts[head * kLanes + lane] = most;
    __syncthreads();
    most = highest[head];
    for (int i = 0; i < kLanes; ++i) most = fmaxf(most, parts[head * kLanes + i]);
    // Where nothing is read so far there is nothing to subtract.
    const float shift = most == -kInfinity ? 0 : most;
    float sum = 0;
    for (int key = lane; key < count; key += kLanes) {
      own[key] = expf(own[key] - shift);
      sum += own[key];
    }
    __syncthreads();  // All have read the parts and the highest score.
    parts[head * kLanes + lane] = sum;
    __syncthreads();
    if (lane == 0) {
      rescale[head] = expf(highest[head] - shift);
      highest[head] = most;
      float total = totals[head] * rescale[head];
      for (int i = 0; i < kLanes; ++i) total += parts[head * kLanes + i];
      totals[head] = total;
    }
    __syncthreads();
  }

  __device__ __forceinline__ void AddValues(int64_t begin, int count) {
    const int width = a.value_dim();
    for (int dim = thread; dim < width; dim += kThreads) {
      float own[kHeads];
#pragma unroll
      for (int head = 0; head < kHeads; ++head)
        own[head] = head < heads ? sums[head * width + dim] * rescale[head] : 0;
      for (int key = 0; key < count; ++key) {
        const int64_t at = CacheIndex(a.cache, table, begin + key, kv_head, true);
        const float value = ToFloat(cache[at + dim]);
#pragma unroll
        for (int head = 0; head < kHeads; ++head) {
          if (head < heads) own[head] = MultiplyAdd(weights[head * kKeys + key], value, own[head]);
        }
      }
#pragma unroll
      for (int head = 0; head < kHeads; ++head)
        if (head < heads) sums[head * width + dim] = own[head];
    }
  }

  // `first_head`: of all query heads.
  __device__ __forceinline__ void Run(int64_t row, int first_head, const SeenPositions& seen,
                                      float* output) {
    const int dims = a.params.head_dim, width = a.value_dim();
    for (int at = thread; at < heads * dims; at += kThreads)
      queries[at] = a.q[(row * a.params.heads + first_head) * dims + at];
    for (int at = thread; at < kHeads * width; at += kThreads) sums[at] = 0;
    if (thread < kHeads) {
      highest[thread] = -kInfinity;
      totals[thread] = 0;
    }
    for (int64_t begin = seen.begin; begin < seen.end;) {
      const int64_t tile_end = (begin / kKeys + 1) * kKeys;
      const auto count = static_cast<int>((tile_end < seen.end ? tile_end : seen.end) - begin);
      Score(begin, count);
      Weigh(count);
      AddValues(begin, count);
      begin += count;
    }
    __syncthreads();
    const int64_t stride = int64_t{a.splits} * (width + 2);  // of heads
    for (int at = thread; at < heads * width; at += kThreads)
      output[at / width * stride + at % width] = sums[at];
    if (thread >= heads) return;
    output[thread * stride + width] = highest[thread];
    output[thread * stride + width + 1] = totals[thread];
  }
};

// Grid: rows of the launch, slices of kHeads query heads of each key head, splits.
template <typename Element>
__global__ void __launch_bounds__(128, 5) AttendRow(AttentionArguments a) {
  using Attention = RowAttention<Element>;
  const int64_t row = a.first_row + blockIdx.x;
  SeenPositions seen = SeenBy(a.params, a.positions[row]);
  const int64_t split_begin = int64_t{blockIdx.z} * kSplitPositions;
  const int64_t split_end = split_begin + kSplitPositions;
  seen.begin = seen.begin > split_begin ? seen.begin : split_begin;
  seen.end = seen.end < split_end ? seen.end : split_end;
  if (seen.begin >= seen.end) return;
  const int group = a.params.heads / a.params.kv_heads;
  const int slices = static_cast<int>(Parts(group, Attention::kHeads));
  const int kv_head = static_cast<int>(blockIdx.y) / slices;
  const int in_group = static_cast<int>(blockIdx.y) % slices * Attention::kHeads;
  const int left = group - in_group;
  auto* const shared = reinterpret_cast<float*>(SharedMemory());
  const int dims = a.params.head_dim, width = a.value_dim();
  float* const sums = shared + Attention::kHeads * dims;
  float* const weights = sums + Attention::kHeads * width;
  float* const parts = weights + Attention::kHeads * Attention::kKeys;
  float* const highest = parts + Attention::kHeads * Attention::kLanes;
  Attention attention{.queries = shared,
                      .sums = sums,
                      .weights = weights,
                      .parts = parts,
                      .highest = highest,
                      .totals = highest + Attention::kHeads,
                      .rescale = highest + 2 * Attention::kHeads,
                      .keys = highest + 3 * Attention::kHeads,
                      .a = a,
                      .cache = static_cast<const Element*>(a.cache.data),
                      .table = a.block_tables + a.block_offsets[a.row_sequences[row]],
                      .selected = SelectedBy(a, row, kv_head),
                      .kv_head = kv_head,
                      .heads = left < Attention::kHeads ? left : Attention::kHeads,
                      .thread = static_cast<int>(threadIdx.x)};
  const int first_head = kv_head * group + in_group;
  const int64_t at = (int64_t{blockIdx.x} * a.params.heads + first_head) * a.splits + blockIdx.z;
  attention.Run(row, first_head, seen, a.parts + at * (width + 2));
}

// output = what the splits of a row and head give together, and the sink. Grid: rows of the launch,
// heads.
__global__ void MergeSplits(AttentionArguments a) {
  const int64_t row = a.first_row + blockIdx.x;
  const auto head = static_cast<int>(blockIdx.y);
  const SeenPositions seen = SeenBy(a.params, a.positions[row]);
  const int width = a.value_dim();
  const float* const parts =
      a.parts + (int64_t{blockIdx.x} * a.params.heads + head) * a.splits * (width + 2);
  const auto first = static_cast<int>(seen.begin / kSplitPositions);
  const auto last = static_cast<int>((seen.end - 1) / kSplitPositions);
  float highest = a.sinks != nullptr ? a.sinks[head] : -kInfinity;
  for (int split = first; split <= last; ++split)
    highest = fmaxf(highest, parts[split * (width + 2) + width]);
  float total = a.sinks != nullptr ? expf(a.sinks[head] - highest) : 0;
  for (int split = first; split <= last; ++split) {
    const float* const part = parts + split * (width + 2) + width;
    total += expf(part[0] - highest) * part[1];
  }
  for (int dim = static_cast<int>(threadIdx.x); dim < width; dim += static_cast<int>(blockDim.x)) {
    float sum = 0;
    for (int split = first; split <= last; ++split) {
      const float* const part = parts + split * (width + 2);
      sum += expf(part[width] - highest) * part[dim];
    }
    a.output[(row * a.params.heads + head) * width + dim] = sum / total;
  }
}

}  // namespace conclave::cuda
