#pragma once

// What a step computes besides matmuls. Row-major f32 unless said otherwise. Like the matmuls,
// every output row is a fixed function of its own inputs, whatever else is in the batch and however
// a prompt is cut into chunks.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "conclave/backend/sequence_rows.h"
#include "conclave/base/operator_parameters.h"
#include "conclave/base/thread_pool.h"
#include "kernels/cpu/matmul/matmul.h"

namespace conclave {

// output[r, i] = input[r, i] / sqrt(mean(input[r]^2) + epsilon) * weight[i], for rows of `width`
// elements. input and output may be the same. Rows are `stride` elements apart in both.
void RmsNorm(Isa isa, const float* input, const float* weight, float epsilon, int64_t rows,
             int64_t width, int64_t stride, float* output);

// Rotates, in place, `heads` heads of head_dim elements in each of `rows` rows (stride elements
// apart) by positions[row].
void ApplyRope(const Rope& rope, const int32_t* positions, int64_t rows, int heads, int head_dim,
               int64_t stride, float* x);

// Picks top_k of `experts` for each row: ids [rows, top_k] by descending weight (ties: lower id
// first), weights [rows, top_k].
void TopKGate(const float* logits, int64_t rows, int experts, int top_k, GateScoring scoring,
              float weight_multiplier, int32_t* ids, float* weights);

// Keys and values of one layer and one head range: blocks of block_size positions. Encoding is the
// implementation's matter.
struct KvCacheShape {
  int64_t blocks;
  int block_size;
  int kv_heads;
  int head_dim;
};

// Whether cached keys and values are kept in f32 or rounded to bf16.
enum class KvType { kF32, kBF16 };

class KvCache {
 public:
  // Takes all of its memory at once: throws kOutOfMemory now rather than fail in a later step.
  KvCache(const KvCacheShape& shape, KvType type);
  const KvCacheShape& shape() const { return shape_; }
  KvType type() const { return type_; }
  size_t bytes() const { return bytes_; }
  uint8_t* data() { return storage_.get(); }
  const uint8_t* data() const { return storage_.get(); }

  // Bytes that a cache of this shape takes; a little above 2 * positions * heads * headDim elements
  // where headDim is no multiple of 16 or block_size none.
  static size_t BytesFor(const KvCacheShape& shape, KvType type);

 private:
  struct Unmap {
    size_t bytes;
    void operator()(uint8_t* memory) const;
  };
  KvCacheShape shape_;
  KvType type_;
  size_t bytes_;
  std::unique_ptr<uint8_t, Unmap> storage_;
};

struct AttentionParams {
  int heads;     // query heads of this slice; a multiple of kv_heads
  int kv_heads;  // key/value heads of this slice, as in the cache
  int head_dim;
  float scale;
  int sliding_window;  // 0: full
};

// Writes k, v [rows, kv_heads * head_dim] of the rows into the cache, then output [rows, heads *
// head_dim] = causal attention of q [rows, heads * head_dim] over each row's sequence. Softmax over
// a fixed order of blocks, accumulated in f32.
void PagedAttention(Isa isa, ThreadPool& pool, const AttentionParams& params,
                    const SequenceRows& where, const float* q, const float* k, const float* v,
                    KvCache& cache, float* output);

}  // namespace conclave
