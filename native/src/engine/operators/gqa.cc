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

}  // namespace

GqaOperator::GqaOperator(TensorLoader& loader, const GqaSpec& spec, const Rope* rope,
                         const Share& share, const CacheOptions& cache, bool output_bias)
    : rope_(rope != nullptr ? std::optional(*rope) : std::nullopt),
      params_(ShareOf(spec.heads, share)),
      norm_per_head_(spec.qk_norm != QkNorm::kFullWidth),
      norm_after_rope_(spec.norm_after_rope),
      clip_(spec.clip_qkv),
      query_scaling_(spec.query_scaling),
      cache_shape_(CacheShape(params_, cache)),
      cache_type_(CacheTypeOf(loader.format())),
      cache_bytes_(loader.backend().CacheBytes(cache_shape_, cache_type_)) {
  const Range heads = share.Heads(spec.heads.kv_heads);
  const Range kv = ElementsOf(heads, params_.head_dim);
  const int64_t group = spec.heads.heads / spec.heads.kv_heads;
  const Range q = ElementsOf({heads.begin * group, heads.end * group}, params_.head_dim);
  const Range hidden{0, spec.q.in()};
  q_ = loader.Matrix(spec.q.weight, {q, hidden});
  k_ = loader.Matrix(spec.k.weight, {kv, hidden});
  v_ = loader.Matrix(spec.v.weight, {kv, hidden});
  o_ = loader.Matrix(spec.o.weight, {hidden, q});
  q_bias_ = loader.Bias(spec.q, q);
  k_bias_ = loader.Bias(spec.k, kv);
  v_bias_ = loader.Bias(spec.v, kv);
  if (output_bias) o_bias_ = loader.Bias(spec.o, {0, spec.o.out()});
  if (spec.sinks) sinks_ = loader.Vector(*spec.sinks, {heads.begin * group, heads.end * group});
  if (spec.output_gate) {
    gate_ = loader.Matrix(spec.output_gate->weight, {q, hidden});
    gate_bias_ = loader.Bias(*spec.output_gate, q);
  }
  const auto load_norm = [&](const std::optional<NormSpec>& norm, Range part, VectorPtr& own) {
    if (!norm) return std::optional<Norm>();
    if (spec.qk_norm != QkNorm::kEachHead) {
      // A norm over all heads only occurs where the share has all heads; a per-head norm is the
      // same for each head.
      return std::optional<Norm>(std::in_place, loader, *norm,
                                 norm_per_head_ ? params_.head_dim : part.size());
    }
    own = loader.NormWeight(*norm, part);
    NormSpec plain = *norm;
    plain.weight.reset();
    return std::optional<Norm>(std::in_place, loader, plain, params_.head_dim);
  };
  q_norm_ = load_norm(spec.q_norm, q, q_weights_);
  k_norm_ = load_norm(spec.k_norm, kv, k_weights_);
}

uint64_t GqaOperator::CacheBytes(const Backend& backend, const GqaSpec& spec, const Share& share,
                                 const CacheOptions& cache, WeightsFormat format) {
  return backend.CacheBytes(CacheShape(ShareOf(spec.heads, share), cache), CacheTypeOf(format));
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
  const auto normalise = [&] {
    Normalise(backend, q_norm_, q_weights_, q);
    Normalise(backend, k_norm_, k_weights_, k);
  };
  if (!norm_after_rope_) normalise();
  if (clip_ > 0) {
    for (const Tensor& x : {q, k, v}) backend.Clamp(x, clip_);
  }
  if (rope_) backend.Rotate(*rope_, where, params_.head_dim, 0, std::array{q, k});
  if (norm_after_rope_) normalise();
  if (query_scaling_) backend.ScaleByPosition(*query_scaling_, where, q);
  const Tensor attended = arena.Rows(input.rows, q.width);
  backend.Attend(params_, where, q, k, v, sinks_.get(), *cache_, attended);
  if (gate_) {
    const LinearOutput gates{gate_.get(), gate_bias_.get(), q};
    backend.Linear(input, {&gates, 1});
    backend.ScaleBySigmoid(q, attended);
  }
  const LinearOutput projected{o_.get(), o_bias_.get(), output};
  backend.Linear(attended, {&projected, 1});
}

void GqaOperator::Normalise(Backend& backend, const std::optional<Norm>& norm, const VectorPtr& own,
                            const Tensor& x) const {
  if (!norm) return;
  const Tensor rows = norm_per_head_ ? x.Reshape(params_.head_dim) : x;
  norm->Forward(backend, rows, rows);
  if (own) backend.ScaleColumns(*own, x);
}

uint64_t GqaOperator::weight_bytes() const {
  uint64_t bytes = q_->bytes() + k_->bytes() + v_->bytes() + o_->bytes();
  for (const VectorPtr* vector :
       {&q_bias_, &k_bias_, &v_bias_, &o_bias_, &q_weights_, &k_weights_, &sinks_, &gate_bias_})
    bytes += BytesOf(*vector);
  for (const auto* norm : {&q_norm_, &k_norm_}) bytes += *norm ? (*norm)->bytes() : 0;
  if (gate_) bytes += gate_->bytes();
  return bytes;
}

uint64_t GqaOperator::SourceBytes(const GqaSpec& spec) {
  uint64_t bytes = 0;
  for (const LinearSpec* linear : {&spec.q, &spec.k, &spec.v, &spec.o})
    bytes += conclave::SourceBytes(*linear);
  for (const auto* norm : {&spec.q_norm, &spec.k_norm}) bytes += *norm ? (*norm)->bytes() : 0;
  if (spec.sinks) bytes += spec.sinks->bytes();
  if (spec.output_gate) bytes += conclave::SourceBytes(*spec.output_gate);
  return bytes;
}

}  // namespace conclave
