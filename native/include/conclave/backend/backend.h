#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "conclave/backend/arena.h"
#include "conclave/backend/cache.h"
#include "conclave/backend/operations.h"
#include "conclave/backend/step_rows.h"
#include "conclave/backend/weights.h"
#include "conclave/base/activation.h"
#include "conclave/base/exact_sum.h"
#include "conclave/base/matrix_source.h"
#include "conclave/base/thread_pool.h"
#include "conclave/sampling/sampling.h"

namespace conclave {

// What a feed-forward network is made of. Matrices are read in this order.
struct FfnSource {
  MatrixSource* gate;  // null: none, as of an activation that reads up alone
  MatrixSource& up;
  MatrixSource& down;
  VectorPtr gate_bias = nullptr;  // [I]; null: none
  VectorPtr up_bias = nullptr;    // [I]
  VectorPtr down_bias = nullptr;  // [H]
  ActivationParams activation = {};
};

struct Capabilities {
  std::string name;  // as --isa says it
  std::vector<WeightsFormat> formats;
  // What a gate takes at most.
  int max_experts;
  int max_top_k;
};

// A device: owns memory and arithmetic, and executes the operations by which the engine describes a
// step.
//
// Operations are called by one thread, the executor, and run in the order of the calls, possibly
// later: outputs are on the host once Synchronise has returned. An operation may report what went
// wrong by then. Arrays of the host are read before a call returns. Every output row is a fixed
// function of its own inputs, whatever else is in the batch and however a prompt is cut into
// chunks: a sequence gets the same tokens in any company. A tensor may be input and output of an
// operation only where that says so.
class Backend {
 public:
  // `threads`: of the host, the caller's included.
  explicit Backend(int threads) : pool_(threads), scratch_(*this) {}
  virtual ~Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  virtual Capabilities capabilities() const = 0;
  ThreadPool& pool() { return pool_; }
  // For what lives no longer than one call of the engine. Executor only.
  Arena& scratch() { return scratch_; }

  // Memory and weights: on any thread. They throw kOutOfMemory, and what the source throws.

  virtual std::unique_ptr<DeviceMemory> Allocate(size_t bytes) = 0;
  virtual MatrixPtr Pack(MatrixSource& source, WeightsFormat format) = 0;
  virtual FfnPtr PackFfn(const FfnSource& source, WeightsFormat format) = 0;
  virtual VectorPtr Store(std::vector<float> values) = 0;
  // kBF16 rounds rows to bf16, as all but kF32 do of codes; else they are kept as they are.
  virtual EmbeddingPtr PackEmbedding(MatrixSource& source, WeightsFormat format) = 0;
  // Takes all of its memory at once, so that no later step fails for want of it.
  virtual std::unique_ptr<PagedCache> CreateCache(const KvCacheShape& shape, KvType type) = 0;
  // What such a cache takes: the figure that every plan of memory must agree with.
  virtual size_t CacheBytes(const KvCacheShape& shape, KvType type) const = 0;
  // The same for states of a fixed size. They hold no sequence's state yet.
  virtual std::unique_ptr<StateStore> CreateStates(const StateShape& shape) = 0;
  virtual size_t StateBytes(const StateShape& shape) const = 0;

  // Operations, on the executor.

  // `where` must outlive the result.
  virtual std::unique_ptr<StepRows> Place(const SequenceRows& where) = 0;

  // output[r] = multiplier * table[tokens[r]].
  virtual void Embed(const Embedding& table, std::span<const int32_t> tokens, float multiplier,
                     const Tensor& output) = 0;
  // output[r, i] = x[r, i] / sqrt(mean(x[r]^2) + epsilon) * weight[i]; x may be output. Where
  // `grid` is not null, it gets the grid of each row of x. A weight that is narrower than x is that
  // of a norm over the first elements of each row; x must be output, and the others stay.
  virtual void RmsNorm(const Tensor& x, const Vector& weight, float epsilon, const Tensor& output,
                       const GridOutput* grid = nullptr) = 0;
  // The same of (x[r] - mean(x[r])) / sqrt(variance(x[r]) + epsilon); bias null: none. The grid is
  // that of RmsNorm.
  virtual void LayerNorm(const Tensor& x, const Vector& weight, const Vector* bias, float epsilon,
                         const Tensor& output, const GridOutput* grid = nullptr) = 0;
  // output = x W^T (+ bias), for each of the outputs.
  virtual void Linear(const Tensor& x, std::span<const LinearOutput> outputs) = 0;
  // Of every head h of x [rows, heads * width], one for each matrix [out, in]: its first `in`
  // elements become their product with matrix h, and what follows them follows that:
  // output [rows, heads * (out + width - in)].
  virtual void ProjectHeads(const Tensor& x, std::span<const MatrixPtr> matrices,
                            const Tensor& output) = 0;
  // Rotates every head of every tensor, in place and from its element `first` on, by the position
  // of its row.
  virtual void Rotate(const Rope& rope, const StepRows& where, int head_dim, int first,
                      std::span<const Tensor> tensors) = 0;
  // Writes k [rows, kv_heads * head_dim] and v [rows, kv_heads * value_dim] into the cache, then
  // output [rows, heads * value_dim] = causal attention of q over each row's sequence, or over what
  // `selection` leaves of it; null: all. Softmax over a fixed order of blocks. `sinks` [heads]:
  // logits that take a part of each head's probability and give nothing; null: none. Where values
  // are inside keys, v is empty and output [rows, heads * values_inside]. No k: none is written.
  virtual void Attend(const AttentionParams& params, const StepRows& where, const Tensor& q,
                      const Tensor& k, const Tensor& v, const Vector* sinks, PagedCache& cache,
                      const Tensor& output, const KeySelection* selection = nullptr) = 0;
  // Writes k [rows, head_dim] into a cache of one head whose values are its keys, all of them, then
  // selects for each row the `kept` best blocks of positions up to its own, of which the last
  // `latest` are always among them. A block is as good as its best position. weights [rows, heads]:
  // position p has the score sum over heads h of weights[h] max(q_h . k_p, 0), and there is one
  // selector. Null: each head is a selector, with scores q_h . k_p. Of equals the earlier one.
  // Where a key stands for a span of positions, k is empty and nothing is written: a row selects
  // among the entries of spans that it has seen whole.
  virtual void SelectKeys(const SelectionParams& params, const StepRows& where, const Tensor& q,
                          const Tensor& k, const Tensor* weights, PagedCache& cache,
                          const KeySelection& output) = 0;
  // Row by row of each sequence and column, with p = position % span: output[r] = sum of values[s]
  // softmax(gates[s] + bias[p of s]) over the rows s of r's span up to r. Where spans overlap, the
  // first half of the columns of values and gates is for the span after their own, and rows of the
  // span before come in with it. values, gates [rows, width or 2 width]; bias [span * as wide];
  // output [rows, width]; states [3 * as wide].
  virtual void Fold(const FoldParams& params, const StepRows& where, const Tensor& values,
                    const Tensor& gates, const Vector& bias, StateStore& states,
                    const Tensor& output) = 0;
  // Writes k [rows, head_dim] of rows that end a span into its entry's slot of a cache of one head
  // whose values are its keys.
  virtual void WriteEntries(const SlotLayout& layout, const StepRows& where, const Tensor& k,
                            PagedCache& cache) = 0;
  // output: the slots that each row reads, which are its last `window` positions and the entries of
  // the spans that it has seen whole, or of these what `entries` leaves; null: all.
  virtual void SelectSlots(const SlotLayout& layout, int window, const StepRows& where,
                           const KeySelection* entries, const KeySelection& output) = 0;
  // The states of sequences that begin: zeros.
  virtual void ClearStates(std::span<const int32_t> slots, StateStore& states) = 0;
  // Row by row of each sequence: state += x[r]; output[r] = state. x, output [rows, elements of a
  // state]; x may be output.
  virtual void RunningSum(const Tensor& x, const StepRows& where, StateStore& states,
                          const Tensor& output) = 0;
  // Row by row of each sequence, every column by itself: output[r] = bias + sum over taps j of
  // taps[j] * x[r - count + 1 + j], or silu of it, where rows before the step's first are in the
  // states [(count - 1) * width]. taps [count * width], bias [width] or null.
  virtual void Convolve(const Tensor& x, const Vector& taps, const Vector* bias, bool silu,
                        const StepRows& where, StateStore& states, const Tensor& output) = 0;
  // Row by row of each sequence and column c of x, with its state S [n]: S *= e^(steps[c]
  // rates[c]); S += steps[c] x[c] write; output[c] = S . read. x, steps, output [rows, width];
  // write, read [rows, n]; rates [width * n]. x may be output.
  virtual void SelectiveScan(const StepRows& where, const Tensor& x, const Tensor& steps,
                             const Vector& rates, const Tensor& write, const Tensor& read,
                             StateStore& states, const Tensor& output) = 0;
  // Row by row of each sequence and value head, with its state S [key_dim, value_dim]: S *= decay;
  // S += write * k (v - S^T k)^T, without the difference unless params.delta; output = S^T q. q, k
  // [rows, key_heads * key_dim]; v, output [rows, value_heads * value_dim]; write [rows,
  // value_heads]; decay as write, or [rows, value_heads * key_dim] for each element of the key.
  virtual void LinearAttend(const LinearAttentionParams& params, const StepRows& where,
                            const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& decay,
                            const Tensor& write, StateStore& states, const Tensor& output) = 0;
  // Multiplies each row by the factor of its position.
  virtual void ScaleByPosition(const QueryScaling& scaling, const StepRows& where,
                               const Tensor& x) = 0;
  // Experts of each row of x by its logits x W^T, W [experts, H]. kNonFinite when a row's logits
  // have a NaN or +infinity, or are all -infinity.
  virtual void Gate(const Tensor& x, const Matrix& weight, const GateParams& params,
                    const GateChoice& choice) = 0;
  // output[r] = down(act(gate(x[r]), up(x[r]))).
  virtual void Forward(const Ffn& ffn, const Tensor& x, const Tensor& output) = 0;
  // totals[r] += sum over the entries of row r of weight * ffn(x[row]), or of ffn(weight * x[row]),
  // on the row's grid. Groups are disjoint, ascending and cover the entries. Each expert's weights
  // are read once.
  virtual void Experts(std::span<const ExpertGroup> groups, std::span<const ExpertEntry> entries,
                       ExpertWeights applied, const Tensor& x, const Grid& grid,
                       const Totals& totals) = 0;

  virtual void Copy(const Tensor& x, const Tensor& output) = 0;
  // x[r, i] to the nearest in [-limit, limit].
  virtual void Clamp(const Tensor& x, float limit) = 0;
  virtual void Scale(const Tensor& x, float factor) = 0;
  // x[r, i] *= factors[i].
  virtual void ScaleColumns(const Vector& factors, const Tensor& x) = 0;
  // x[r, i] *= factors[r, i]; factors as wide as x, or [rows, 1].
  virtual void Multiply(const Tensor& factors, const Tensor& x) = 0;
  // x[r, i] *= sigmoid(gate[r, i]); gate as wide as x, or [rows, 1].
  virtual void ScaleBySigmoid(const Tensor& gate, const Tensor& x) = 0;
  // x[r, i] *= gate[r, i] * sigmoid(gate[r, i]).
  virtual void ScaleBySilu(const Tensor& gate, const Tensor& x) = 0;
  virtual void Sigmoid(const Tensor& x) = 0;
  // x[r, i] = ln(1 + e^(x[r, i] + bias[i])), at least `least` and at most `most`.
  virtual void Softplus(const Vector& bias, float least, float most, const Tensor& x) = 0;
  // output[r, i] = e^(rates[i] * x[r, i]); x may be output.
  virtual void Decay(const Tensor& x, const Vector& rates, const Tensor& output) = 0;
  // x = cap * tanh(x / cap).
  virtual void Softcap(const Tensor& x, float cap) = 0;
  // x += multiplier * y.
  virtual void AddScaled(const Tensor& y, float multiplier, const Tensor& x) = 0;
  // x to what the encoding holds.
  virtual void Round(const Tensor& x, ActivationType type) = 0;
  // x [rows, n (2 + n)] for n streams, in place: y = scale[part] x + base; then what each stream
  // gives to the input, sigmoid(y) + epsilon [n]; what the output gives to each, 2 sigmoid(y) [n];
  // and what stream j gives to stream k [n, n]: softmax(y) over k plus epsilon, its columns divided
  // by their sums plus epsilon, then rows and columns so, `iterations` - 1 times. Or the first of
  // these alone, x [rows, n].
  virtual void WeighStreams(const StreamParams& params, const Vector& base, const Vector& scale,
                            const Tensor& x) = 0;
  // output[r] = sum over streams j of weights[r, j] x[r, j]; x [rows, streams * width].
  virtual void ReadStreams(const StreamParams& params, const Tensor& weights, const Tensor& x,
                           const Tensor& output) = 0;
  // x[r, k] = weights[r, n + k] y[r] + sum over streams j of weights[r, 2 n + j n + k] x[r, j].
  virtual void WriteStreams(const StreamParams& params, const Tensor& weights, const Tensor& y,
                            const Tensor& x) = 0;
  // output[i] = x[rows[i]].
  virtual void Gather(const Tensor& x, std::span<const int32_t> rows, const Tensor& output) = 0;

  // Exact sums; see exact_sum.h.

  virtual void Clear(const Totals& totals) = 0;
  // totals += terms.
  virtual void AddTerms(const Tensor& terms, const Grid& grid, const Totals& totals) = 0;
  // totals[rows[i]] += the i-th row of encoded totals.
  virtual void AddEncoded(std::span<const int32_t> rows, PartialType type,
                          std::span<const uint8_t> bytes, const Totals& totals) = 0;
  // x += multiplier * totals, each total rounded to f32 first.
  virtual void AddTotals(const Totals& totals, const Grid& grid, float multiplier,
                         const Tensor& x) = 0;
  // output = totals, each rounded to f32.
  virtual void TakeTotals(const Totals& totals, const Grid& grid, const Tensor& output) = 0;
  // In the narrowest type that holds all of them. Synchronises.
  virtual EncodedTotals Encode(const Totals& totals) = 0;

  // Between host and device.

  virtual void Upload(ActivationType type, std::span<const uint8_t> bytes,
                      const Tensor& output) = 0;
  virtual void Upload(std::span<const int32_t> values, const DeviceIds& output) = 0;
  virtual void Download(const Tensor& x, ActivationType type, std::span<uint8_t> bytes) = 0;
  virtual void Download(const DeviceIds& x, std::span<int32_t> values) = 0;
  void Download(const Tensor& x, std::span<float> values) {
    Download(x, ActivationType::kF32,
             {reinterpret_cast<uint8_t*>(values.data()), values.size_bytes()});
  }
  virtual void Synchronise() = 0;

  // One result for each row of logits [requests, vocabulary], which may be overwritten.
  virtual void Sample(const Tensor& logits, std::span<const LogitsRequest> requests,
                      std::span<LogitsResult> results);

 private:
  ThreadPool pool_;
  Arena scratch_;
};

}  // namespace conclave
