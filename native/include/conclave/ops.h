#pragma once

// What a step computes besides matmuls. Row-major f32 unless said otherwise. Like the matmuls,
// every output row is a fixed function of its own inputs, whatever else is in the batch and however
// a prompt is cut into chunks.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "conclave/matmul.h"
#include "conclave/thread_pool.h"

namespace conclave {

// output[r, i] = input[r, i] / sqrt(mean(input[r]^2) + epsilon) * weight[i], for rows of `width`
// elements. input and output may be the same. Rows are `stride` elements apart in both.
void RmsNorm(Isa isa, const float* input, const float* weight, float epsilon, int64_t rows,
             int64_t width, int64_t stride, float* output);

// RopeSpec in model.proto.
struct Rope {
  std::vector<float> inverse_frequencies;  // [rotary_dim / 2]
  float attention_factor = 1;
  int rotary_dim = 0;
  bool interleaved = false;
};

// Rotates, in place, `heads` heads of head_dim elements in each of `rows` rows (stride elements
// apart) by positions[row].
void ApplyRope(const Rope& rope, const int32_t* positions, int64_t rows, int heads, int head_dim,
               int64_t stride, float* x);

enum class GateScoring { kSoftmaxAll, kSoftmaxTopK };

// What TopKGate takes at most.
constexpr int kMaxExperts = 1024;
constexpr int kMaxTopK = 32;

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

// SequenceRows in native.ts.
struct SequenceRows {
  std::span<const int32_t> positions;         // [rows]
  std::span<const int32_t> sequence_offsets;  // [sequences + 1]
  std::span<const int32_t> block_tables;
  std::span<const int32_t> block_offsets;  // [sequences + 1]
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

// NativeSampling in native.ts.
struct Sampling {
  float temperature = 0;
  int top_k = 0;
  float top_p = 1;
  float min_p = 0;
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  uint64_t seed = 0;
  std::vector<int32_t> bias_tokens;
  std::vector<float> bias_values;

  // Presence and frequency count tokens of the output alone.
  bool PenalisesPrompt() const { return repetition_penalty != 1; }
  bool PenalisesOutput() const {
    return PenalisesPrompt() || presence_penalty != 0 || frequency_penalty != 0;
  }
};

// What is wanted of one row of logits.
struct LogitsRequest {
  int32_t target = -1;                 // >= 0: score this token; -1: sample
  int32_t logprobs = -1;               // alternatives; -1: no log-probabilities
  const Sampling* sampling = nullptr;  // null: greedy
  int32_t position = 0;
  int32_t sequence_index = 0;
  std::span<const int32_t> prompt_tokens;  // read where sampling->PenalisesPrompt()
  std::span<const int32_t> output_tokens;  // read where sampling->PenalisesOutput()
};

struct LogitsResult {
  int32_t token;
  float logprob;  // before temperature, penalties and filters; NaN when none was asked for
  std::vector<int32_t> top_tokens;
  std::vector<float> top_logprobs;
};

// Chooses or scores one token. `logits` [vocab] may be overwritten. Order: bias and penalties, then
// temperature, top-k, top-p, min-p. The draw is Philox-4x32-10 keyed by seed over (sequence_index,
// position). Throws kNonFinite for NaN logits.
LogitsResult Sample(const LogitsRequest& request, std::span<float> logits);

}  // namespace conclave
