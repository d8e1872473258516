#pragma once

// What a step computes besides matmuls. Row-major f32 unless said otherwise. Like the matmuls,
// every output row is a fixed function of its own inputs, whatever else is in the batch and however
// a prompt is cut into chunks.

#include <cstdint>

#include "conclave/backend/arena.h"
#include "conclave/backend/operations.h"
#include "conclave/backend/sequence_rows.h"
#include "conclave/base/operator_parameters.h"
#include "conclave/base/thread_pool.h"
#include "kernels/cpu/attention/kv_cache.h"
#include "kernels/cpu/matmul/matmul.h"

namespace conclave {

// output[r, i] = input[r, i] / sqrt(mean(input[r]^2) + epsilon) * weight[i], for rows of `width`
// elements. input and output may be the same. Rows are `stride` elements apart in both.
void RmsNorm(Isa isa, const float* input, const float* weight, float epsilon, int64_t rows,
             int64_t width, int64_t stride, float* output);

// output[r, i] = (input[r, i] - mean) / sqrt(variance + epsilon) * weight[i] (+ bias[i] when not
// null), for dense rows of `width` elements. input and output may be the same.
void LayerNorm(const float* input, const float* weight, const float* bias, float epsilon,
               int64_t rows, int64_t width, float* output);

// Rotates, in place, `heads` heads of head_dim elements in each of `rows` rows (stride elements
// apart) by positions[row].
void ApplyRope(const Rope& rope, const int32_t* positions, int64_t rows, int heads, int head_dim,
               int64_t stride, float* x);

// Picks params.top_k of `experts` for each row, whose logits have their bias: ids [rows, top_k] by
// descending weight (ties: lower id first), weights [rows, top_k]. `picked` [rows, top_k]: the
// experts of each row; null: by scores.
void TopKGate(const float* logits, int64_t rows, int experts, const GateParams& params,
              const int32_t* picked, int32_t* ids, float* weights);

// Writes k, v [rows, kv_heads * head_dim] of the rows into the cache, then output [rows, heads *
// value_dim] = causal attention of q [rows, heads * head_dim] over each row's sequence, or over
// what `selection` leaves of it. Softmax over a fixed order of blocks, accumulated in f32. sinks
// [heads], or null. Values inside keys: v is null, output [rows, heads * values_inside].
void PagedAttention(Isa isa, ThreadPool& pool, const AttentionParams& params,
                    const SequenceRows& where, const float* q, const float* k, const float* v,
                    const float* sinks, const KeySelection* selection, KvCache& cache,
                    float* output);

// Backend::SelectKeys. weights [rows, heads], or null.
void SelectPositions(Isa isa, ThreadPool& pool, Arena& scratch, const SelectionParams& params,
                     const SequenceRows& where, const float* q, const float* k,
                     const float* weights, KvCache& cache, const KeySelection& output);

}  // namespace conclave
