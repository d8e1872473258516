#include "conclave/engine/operators/gqa.h"

#include <array>

namespace conclave {
namespace {

// Elements of heads.
Range ElementsOf(Range heads, int64_t head_dim) {
  return {heads.begin * head_dim, heads.end * head_dim};
}

// The share of the heads: whole key/value heads with the query heads that read them.
AttentionParams ShareOf(const AttentionParams& whole, const Share& share) {
  AttentionParams part = whole;
  part.kv_heads = static_cast<int>(share.Heads(whole.kv_heads).size());
  part.heads = part.kv_heads * (whole.heads / whole.kv_heads);
  return part;
}

KvCacheShape CacheShape(const AttentionParams& share, const CacheOptions& cache) {
  return {cache.kv_blocks, cache.block_size, share.kv_heads, share.head_dim};
}

KvType CacheType(WeightsFormat format) {
  return format == WeightsFormat::kF32 ? KvType::kF32 : KvType::kBF16;
}

}  // namespace

GqaOperator::GqaOperator(TensorLoader& loader, const GqaSpec& spec, const Rope& rope,
                         const Share& share, const CacheOptions& cache, bool output_bias)
    : rope_(rope),
      params_(ShareOf(spec.heads, share)),
      norm_per_head_(spec.qk_norm == QkNorm::kPerHead),
      clip_(spec.clip_qkv),
      cache_shape_(CacheShape(params_, cache)),
      cache_type_(CacheType(loader.format())),
      cache_bytes_(loader.backend().CacheBytes(cache_shape_, cache_type_)) {
  const Range heads = share.Heads(spec.heads.kv_heads);
  const Range kv = ElementsOf(heads, params_.head_dim);
  const int64_t group = spec.heads.heads / spec.heads.kv_heads;
  const Range q = ElementsOf({heads.begin * group, heads.end * group}, params_.head_dim);
  const Range hidden{0, spec.q.in()};
  q_ = loader.Matrix(spec.q.weight.data, {q, hidden});
  k_ = loader.Matrix(spec.k.weight.data, {kv, hidden});
  v_ = loader.Matrix(spec.v.weight.data, {kv, hidden});
  o_ = loader.Matrix(spec.o.weight.data, {hidden, q});
  q_bias_ = loader.Vector(spec.q.bias, q);
  k_bias_ = loader.Vector(spec.k.bias, kv);
  v_bias_ = loader.Vector(spec.v.bias, kv);
  if (output_bias) o_bias_ = loader.Vector(spec.o.bias, hidden);
  // A norm over all heads only occurs where the share has all heads; a per-head norm is the same
  // for each head.
  if (spec.q_norm) q_norm_.emplace(loader, *spec.q_norm);
  if (spec.k_norm) k_norm_.emplace(loader, *spec.k_norm);
}

uint64_t GqaOperator::CacheBytes(const Backend& backend, const GqaSpec& spec, const Share& share,
                                 const CacheOptions& cache, WeightsFormat format) {
  return backend.CacheBytes(CacheShape(ShareOf(spec.heads, share), cache), CacheType(format));
}

void GqaOperator::TakeCache(Backend& backend) {
  cache_ = backend.CreateCache(cache_shape_, cache_type_);
}

void GqaOperator::Forward(Backend& backend, const StepRows& where, const Tensor& input,
                          const Tensor& output) {
  Arena& arena = backend.scratch();
  const Arena::Scope scope(arena);
  const Tensor q = arena.Rows(input.rows, int64_t{params_.heads} * params_.head_dim);
  const Tensor k = arena.Rows(input.rows, int64_t{params_.kv_heads} * params_.head_dim);
  const Tensor v = arena.Rows(input.rows, k.width);
  backend.Linear(input, std::array<LinearOutput, 3>{{{q_.get(), q_bias_.get(), q},
                                                     {k_.get(), k_bias_.get(), k},
                                                     {v_.get(), v_bias_.get(), v}}});
  const auto normalise = [&](const std::optional<Norm>& norm, const Tensor& x) {
    if (!norm) return;
    const Tensor rows = norm_per_head_ ? x.Reshape(params_.head_dim) : x;
    norm->Forward(backend, rows, rows);
  };
  normalise(q_norm_, q);
  normalise(k_norm_, k);
  if (clip_ > 0) {
    for (const Tensor& x : {q, k, v}) backend.Clamp(x, clip_);
  }
  backend.Rotate(rope_, where, params_.head_dim, std::array{q, k});
  const Tensor attended = arena.Rows(input.rows, q.width);
  backend.Attend(params_, where, q, k, v, *cache_, attended);
  const LinearOutput projected{o_.get(), o_bias_.get(), output};
  backend.Linear(attended, {&projected, 1});
}

uint64_t GqaOperator::weight_bytes() const {
  uint64_t bytes = q_->bytes() + k_->bytes() + v_->bytes() + o_->bytes();
  for (const VectorPtr* bias : {&q_bias_, &k_bias_, &v_bias_, &o_bias_}) bytes += BytesOf(*bias);
  for (const auto* norm : {&q_norm_, &k_norm_}) bytes += *norm ? (*norm)->weight->bytes() : 0;
  return bytes;
}

uint64_t GqaOperator::SourceBytes(const GqaSpec& spec) {
  uint64_t bytes = 0;
  for (const LinearSpec* linear : {&spec.q, &spec.k, &spec.v, &spec.o})
    bytes += conclave::SourceBytes(*linear);
  if (spec.q_norm) bytes += spec.q_norm->weight.bytes();
  if (spec.k_norm) bytes += spec.k_norm->weight.bytes();
  return bytes;
}

}  // namespace conclave
