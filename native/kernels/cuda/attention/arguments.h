#pragma once

#include "conclave/base/operator_parameters.h"
#include "kernels/cuda/backend/cache.h"
#include "kernels/cuda/device/device.h"

namespace conclave::cuda {

// Positions that one block reads; what several read of a row is merged in order. Fixed, so that
// bits do not depend on what else is in the batch.
constexpr int kSplitPositions = 1024;

struct AttentionArguments {
  AttentionParams params;
  CacheView cache;
  const float* q;                // [rows, heads * head_dim]
  const float* k;                // [rows, kv_heads * head_dim], to be cached
  const float* v;                // [rows, kv_heads * value_dim]; null where they are inside keys
  const float* sinks;            // [heads]; null: none
  const int32_t* positions;      // [rows]
  const int32_t* row_sequences;  // [rows]
  const int32_t* block_tables;
  const int32_t* block_offsets;  // [sequences + 1]
  int64_t first_row;             // of the launch
  int splits;                    // at most, of a row
  float* parts;                  // [rows of the launch, heads, splits, value_dim + 2]
  float* output;                 // [rows, heads * value_dim]
  const int32_t* selected;       // [rows, selectors * words]; null: rows read all that they see
  int selectors;
  int64_t words;  // of a selector

  __host__ __device__ int value_dim() const {
    return params.values_inside > 0 ? params.values_inside
           : params.value_dim > 0   ? params.value_dim
                                    : params.head_dim;
  }
};

// Positions [begin, end) that a row sees.
struct SeenPositions {
  int64_t begin;
  int64_t end;
};

__device__ __forceinline__ SeenPositions SeenBy(const AttentionParams& params, int64_t position) {
  int64_t begin = 0;
  if (params.sliding_window > 0 && position + 1 > params.sliding_window)
    begin = position + 1 - params.sliding_window;
  if (params.chunk > 0) {
    const int64_t chunk = position / params.chunk * params.chunk;
    begin = chunk > begin ? chunk : begin;
  }
  return {begin, position + 1};
}

// Words of the positions that a row reads with a key/value head; null: all.
__device__ __forceinline__ const int32_t* SelectedBy(const AttentionArguments& a, int64_t row,
                                                     int kv_head) {
  if (a.selected == nullptr) return nullptr;
  const int selector = kv_head / (a.params.kv_heads / a.selectors);
  return a.selected + (row * a.selectors + selector) * a.words;
}

__device__ __forceinline__ bool IsSelected(const int32_t* words, int64_t position) {
  return words == nullptr ||
         (static_cast<uint32_t>(words[position / 32]) >> (position % 32) & 1) != 0;
}

// Index of the first element of a position's key in the cache, or of its value.
__device__ __forceinline__ int64_t CacheIndex(const CacheView& cache, const int32_t* table,
                                              int64_t position, int head, bool value) {
  const int64_t block = table[position / cache.block_size];
  const int64_t in_block = position % cache.block_size;
  const int64_t of_head = int64_t{cache.block_size} * (cache.key_stride + cache.value_stride);
  const int64_t first = (block * cache.kv_heads + head) * of_head;
  if (!value || cache.value_stride == 0) return first + in_block * cache.key_stride;
  return first + int64_t{cache.block_size} * cache.key_stride + in_block * cache.value_stride;
}

}  // namespace conclave::cuda
