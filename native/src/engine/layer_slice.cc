#include "conclave/engine/layer_slice.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "conclave/base/message.h"
#include "conclave/base/parallel_rows.h"
#include "conclave/base/parallel_tasks.h"

namespace conclave {
namespace {

const float* DataOrNull(const std::vector<float>& values) {
  return values.empty() ? nullptr : values.data();
}

Range HeadRange(int first, int end, int head_dim) {
  return {int64_t{first} * head_dim, int64_t{end} * head_dim};
}

Range QueryRange(const AttentionSpec& spec, const RankSlice& slice) {
  const int group = spec.heads / spec.kv_heads;
  return HeadRange(slice.first_kv_head * group, slice.end_kv_head * group, spec.head_dim);
}

Range KeyRange(const AttentionSpec& spec, const RankSlice& slice) {
  return HeadRange(slice.first_kv_head, slice.end_kv_head, spec.head_dim);
}

std::vector<float> Bias(TensorLoader& loader, const LinearSpec& linear, Range part) {
  return linear.bias ? loader.Vector(*linear.bias, part) : std::vector<float>();
}

// A norm over all heads only occurs where the slice has all heads; a per-head norm is the same for
// each head.
std::vector<float> NormWeight(TensorLoader& loader, const std::optional<NormSpec>& norm) {
  return norm ? loader.Vector(norm->weight) : std::vector<float>();
}

void Clamp(ThreadPool& pool, float limit, int64_t rows, int64_t width, float* x) {
  ParallelRows(pool, rows, width, [&](int64_t first, int64_t end) {
    for (int64_t i = first * width; i < end * width; ++i) x[i] = std::clamp(x[i], -limit, limit);
  });
}

}  // namespace

PackedMatrix TensorLoader::Matrix(const TensorRef& tensor, const Rectangle& part) {
  return Matrix(tensor, part, store_.format());
}

PackedMatrix TensorLoader::Matrix(const TensorRef& tensor, const Rectangle& part,
                                  WeightsFormat format) {
  PackedMatrix packed = store_.Pack(kernels_, tensor, part, format);
  monitor_.Add(tensor.bytes());
  return packed;
}

std::vector<float> TensorLoader::Vector(const TensorRef& tensor) {
  return Vector(tensor, {0, tensor.elements()});
}

std::vector<float> TensorLoader::Vector(const TensorRef& tensor, Range part) {
  std::vector<float> values = store_.Vector(tensor, part);
  monitor_.Add(tensor.bytes());
  return values;
}

void TensorLoader::Read(const TensorRef& tensor, void* output) {
  store_.Read(tensor, {0, tensor.elements()}, output);
  monitor_.Add(tensor.bytes());
}

uint64_t SourceBytes(const LinearSpec& linear) {
  return linear.weight.bytes() + (linear.bias ? linear.bias->bytes() : 0);
}

AttentionSlice::AttentionSlice(TensorLoader& loader, const AttentionSpec& spec, const Rope& rope,
                               const RankSlice& slice, const CacheOptions& cache, bool output_bias)
    : rope_(rope),
      qk_norm_(spec.qk_norm),
      clip_(spec.clip_qkv),
      cache_shape_{cache.kv_blocks, cache.block_size, slice.end_kv_head - slice.first_kv_head,
                   spec.head_dim},
      cache_type_(loader.store().format() == WeightsFormat::kF32 ? KvType::kF32 : KvType::kBF16),
      cache_bytes_(KvCache::BytesFor(cache_shape_, cache_type_)) {
  const Range q = QueryRange(spec, slice);
  const Range kv = KeyRange(spec, slice);
  const Range hidden{0, spec.q.in()};
  q_ = loader.Matrix(spec.q.weight, {q, hidden});
  k_ = loader.Matrix(spec.k.weight, {kv, hidden});
  v_ = loader.Matrix(spec.v.weight, {kv, hidden});
  o_ = loader.Matrix(spec.o.weight, {hidden, q});
  q_bias_ = Bias(loader, spec.q, q);
  k_bias_ = Bias(loader, spec.k, kv);
  v_bias_ = Bias(loader, spec.v, kv);
  if (output_bias) o_bias_ = Bias(loader, spec.o, hidden);
  q_norm_ = NormWeight(loader, spec.q_norm);
  k_norm_ = NormWeight(loader, spec.k_norm);
  q_epsilon_ = spec.q_norm ? spec.q_norm->epsilon : 0;
  k_epsilon_ = spec.k_norm ? spec.k_norm->epsilon : 0;
  const int kv_heads = slice.end_kv_head - slice.first_kv_head;
  params_ = {kv_heads * (spec.heads / spec.kv_heads), kv_heads, spec.head_dim, spec.scale,
             spec.sliding_window};
}

void AttentionSlice::TakeCache() { cache_.emplace(cache_shape_, cache_type_); }

void AttentionSlice::Normalize(Compute& compute, const std::vector<float>& weight, float epsilon,
                               int64_t rows, int heads, float* x) const {
  if (weight.empty()) return;
  const bool per_head = qk_norm_ == QkNorm::kPerHead;
  const int64_t width = per_head ? params_.head_dim : int64_t{heads} * params_.head_dim;
  const int64_t count = per_head ? rows * heads : rows;
  ParallelRows(compute.pool, count, width, [&](int64_t first, int64_t end) {
    RmsNorm(compute.isa, x + first * width, weight.data(), epsilon, end - first, width, width,
            x + first * width);
  });
}

void AttentionSlice::Forward(Compute& compute, SliceScratch& scratch, const SequenceRows& where,
                             const float* input, float* output) {
  const auto rows = static_cast<int64_t>(where.positions.size());
  const int64_t q_width = int64_t{params_.heads} * params_.head_dim;
  const int64_t kv_width = int64_t{params_.kv_heads} * params_.head_dim;
  float* q = scratch.q.Reserve(rows * q_width);
  float* k = scratch.k.Reserve(rows * kv_width);
  float* v = scratch.v.Reserve(rows * kv_width);
  const std::array<const PackedMatrix*, 3> weights{&q_, &k_, &v_};
  const std::array<const float*, 3> biases{DataOrNull(q_bias_), DataOrNull(k_bias_),
                                           DataOrNull(v_bias_)};
  const std::array<float*, 3> projected{q, k, v};
  compute.kernels->MatmulMany(compute.pool, weights, input, rows, biases, projected);
  Normalize(compute, q_norm_, q_epsilon_, rows, params_.heads, q);
  Normalize(compute, k_norm_, k_epsilon_, rows, params_.kv_heads, k);
  if (clip_ > 0) {
    Clamp(compute.pool, clip_, rows, q_width, q);
    Clamp(compute.pool, clip_, rows, kv_width, k);
    Clamp(compute.pool, clip_, rows, kv_width, v);
  }
  ParallelRows(compute.pool, rows, q_width + kv_width, [&](int64_t first, int64_t end) {
    const int32_t* positions = where.positions.data() + first;
    ApplyRope(rope_, positions, end - first, params_.heads, params_.head_dim, q_width,
              q + first * q_width);
    ApplyRope(rope_, positions, end - first, params_.kv_heads, params_.head_dim, kv_width,
              k + first * kv_width);
  });
  float* attended = scratch.attended.Reserve(rows * q_width);
  PagedAttention(compute.isa, compute.pool, params_, where, q, k, v, *cache_, attended);
  compute.kernels->Matmul(compute.pool, o_, attended, rows, DataOrNull(o_bias_), output);
}

uint64_t AttentionSlice::weight_bytes() const {
  const size_t vectors = q_bias_.size() + k_bias_.size() + v_bias_.size() + o_bias_.size() +
                         q_norm_.size() + k_norm_.size();
  return q_.bytes() + k_.bytes() + v_.bytes() + o_.bytes() + vectors * sizeof(float);
}

uint64_t AttentionSlice::SourceBytes(const AttentionSpec& spec) {
  uint64_t bytes = 0;
  for (const LinearSpec* linear : {&spec.q, &spec.k, &spec.v, &spec.o})
    bytes += conclave::SourceBytes(*linear);
  if (spec.q_norm) bytes += spec.q_norm->weight.bytes();
  if (spec.k_norm) bytes += spec.k_norm->weight.bytes();
  return bytes;
}

DenseSlice::DenseSlice(TensorLoader& loader, const LayerSpec& spec, Range width) {
  const DenseFfnSpec& dense = *spec.dense();
  const Range hidden{0, dense.gate.in()};
  weights_.gate = loader.Matrix(dense.gate.weight, {width, hidden});
  weights_.up = loader.Matrix(dense.up.weight, {width, hidden});
  weights_.down = loader.Matrix(dense.down.weight, {hidden, width});
  weights_.activation = dense.activation;
  if (spec.moe() != nullptr && spec.moe()->shared_expert_gate) {
    const TensorRef& gate = *spec.moe()->shared_expert_gate;
    gate_ = loader.Matrix(gate, Whole(gate), WeightsFormat::kF32);
  }
}

void DenseSlice::Forward(Compute& compute, SliceScratch& scratch, const float* input, int64_t rows,
                         int64_t hidden, float* output) {
  const FfnGroup group{&weights_, 0, rows};
  compute.kernels->GroupedFfn(compute.pool, {&group, 1}, input, output);
  if (!gate_) return;
  float* gate = scratch.gate_weights.Reserve(rows);
  compute.kernels->Matmul(compute.pool, gate_, input, rows, nullptr, gate);
  ParallelRows(compute.pool, rows, hidden, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      const float weight = 1 / (1 + std::exp(-gate[row]));
      for (int64_t i = 0; i < hidden; ++i) output[row * hidden + i] *= weight;
    }
  });
}

uint64_t DenseSlice::weight_bytes() const {
  return weights_.gate.bytes() + weights_.up.bytes() + weights_.down.bytes() +
         (gate_ ? gate_.bytes() : 0);
}

uint64_t DenseSlice::SourceBytes(const LayerSpec& spec) {
  const DenseFfnSpec& dense = *spec.dense();
  uint64_t bytes = conclave::SourceBytes(dense.gate) + conclave::SourceBytes(dense.up) +
                   conclave::SourceBytes(dense.down);
  if (spec.moe() != nullptr && spec.moe()->shared_expert_gate)
    bytes += spec.moe()->shared_expert_gate->bytes();
  return bytes;
}

LayerSlice::LayerSlice(TensorLoader& loader, const ModelSpec& spec, int layer,
                       const RankSlice& slice, const CacheOptions& cache, bool output_bias)
    : attention(loader, spec.layers[layer].attention, spec.ropes[spec.layers[layer].attention.rope],
                slice, cache, output_bias) {
  const DenseFfnSpec* whole = spec.layers[layer].dense();
  if (whole == nullptr) return;
  const Range width = SliceRange(whole->width(), slice.ffn_begin, slice.ffn_end, slice.ffn_parts);
  if (width.size() > 0) dense.emplace(loader, spec.layers[layer], width);
}

uint64_t LayerSlice::SourceBytes(const LayerSpec& spec) {
  return AttentionSlice::SourceBytes(spec.attention) +
         (spec.dense() != nullptr ? DenseSlice::SourceBytes(spec) : 0);
}

void TakeCaches(int threads, std::span<AttentionSlice* const> layers, LoadMonitor& monitor) {
  monitor.Begin(LoadPart::kCache);
  for (const AttentionSlice* layer : layers) monitor.Expect(layer->cache_bytes());
  ParallelTasks(threads, static_cast<int64_t>(layers.size()), [&](int64_t i) {
    layers[i]->TakeCache();
    monitor.Add(layers[i]->cache_bytes());
  });
  monitor.Finish();
}

}  // namespace conclave
