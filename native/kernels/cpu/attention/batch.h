#pragma once

// A batch as attention sees it: its rows and heads, and where the cache keeps them.

#include <algorithm>
#include <cstdint>

#include "conclave/base/thread_pool.h"
#include "kernels/cpu/attention/kv_layout.h"
#include "kernels/cpu/ops.h"

namespace conclave {

struct AttentionBatch {
  const AttentionParams& params;
  const SequenceRows& where;
  KvLayout layout;

  // Query heads of a key/value head.
  int group() const { return params.heads / params.kv_heads; }
  int64_t rows() const { return static_cast<int64_t>(where.positions.size()); }
  int64_t PositionOf(int64_t row) const { return where.positions[static_cast<size_t>(row)]; }
  // Block table of a sequence.
  const int32_t* BlocksOf(int64_t sequence) const {
    return where.block_tables.data() + where.block_offsets[static_cast<size_t>(sequence)];
  }
  // Positions that a row sees, its own included; 0: all up to its own.
  int window() const { return params.sliding_window; }
  // First position that a row at `position` sees.
  int64_t FirstKey(int64_t position) const { return FirstSeen(position, window(), params.chunk); }
};

// Throws kInvalidArgument, naming the array and index, when rows, positions, offsets or blocks do
// not fit each other or the cache. Nothing outside the cache is touched for a batch that passes.
void CheckBatch(const AttentionBatch& batch, const KvCacheShape& shape);

// Writes rows [begin, end) of k [rows, kv_heads * head_dim] and v [rows, kv_heads * value_width] to
// their places in the cache; v is null where values are inside keys.
void WriteKeysAndValues(const AttentionBatch& batch, int64_t begin, int64_t end, const float* k,
                        const float* v, uint8_t* cache);

// Writes a key [head_dim] of one head whose values are its keys, to a place of a block.
void WriteKeyAt(const KvLayout& layout, int64_t block, int in_block, const float* k,
                uint8_t* cache);

// Writes all rows' keys and values, on several threads.
void WriteAll(ThreadPool& pool, const AttentionBatch& batch, const float* k, const float* v,
              uint8_t* cache);

}  // namespace conclave
