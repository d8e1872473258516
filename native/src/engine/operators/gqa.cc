#include "conclave/engine/operators/gqa.h"

#include <array>
#include <limits>

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
  return {cache.kv_blocks, cache.block_size, share.kv_heads, share.head_dim, 0, share.value_dim};
}

}  // namespace

GqaOperator::GqaOperator(TensorLoader& loader, const ModelSpec& model, const GqaSpec& spec,
                         const Share& share, const CacheOptions& cache, bool output_bias)
    : rope_(spec.rope ? std::optional(model.ropes[*spec.rope]) : std::nullopt),
      params_(ShareOf(spec.heads, share)),
      norm_per_head_(spec.qk_norm != QkNorm::kFullWidth),
      norm_after_rope_(spec.norm_after_rope),
      clip_(spec.clip_qkv),
      query_scaling_(spec.query_scaling),
      value_multiplier_(spec.value_multiplier),
      cache_shape_(CacheShape(params_, cache)),
      cache_type_(CacheTypeOf(loader.format())),
      cache_bytes_(spec.cache_layer ? 0 : loader.backend().CacheBytes(cache_shape_, cache_type_)) {
  const Range heads = share.Heads(spec.heads.kv_heads);
  const Range kv = ElementsOf(heads, params_.head_dim);
  const int64_t group = spec.heads.heads / spec.heads.kv_heads;
  const Range q = ElementsOf({heads.begin * group, heads.end * group}, params_.head_dim);
  const Range values = ElementsOf(heads, params_.value_width());
  const Range query_heads{heads.begin * group, heads.end * group};
  const Range hidden{0, spec.q.in()};
  q_ = loader.Matrix(spec.q.weight, {q, hidden});
  o_ = loader.Matrix(spec.o.weight, {hidden, ElementsOf(query_heads, params_.value_width())});
  q_bias_ = loader.Bias(spec.q, q);
  if (!spec.cache_layer) LoadKeys(loader, spec, kv, values);
  if (output_bias) o_bias_ = loader.Bias(spec.o, {0, spec.o.out()});
  if (spec.sinks) sinks_ = loader.Vector(*spec.sinks, query_heads);
  if (spec.output_gate) LoadGate(loader, spec, query_heads);
  if (spec.indexer) {
    const int selectors = spec.indexer->selectors();
    indexer_.emplace(loader, model, *spec.indexer,
                     selectors == spec.heads.kv_heads ? heads : Range{0, selectors}, cache);
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

void GqaOperator::LoadKeys(TensorLoader& loader, const GqaSpec& spec, Range kv, Range values) {
  const Range hidden{0, spec.k.in()};
  k_ = loader.Matrix(spec.k.weight, {kv, hidden});
  v_ = spec.keys_are_values ? k_ : loader.Matrix(spec.v.weight, {values, hidden});
  k_bias_ = loader.Bias(spec.k, kv);
  v_bias_ = loader.Bias(spec.v, values);
  if (spec.v_norm) v_norm_.emplace(loader, *spec.v_norm, params_.value_width());
}

void GqaOperator::LoadGate(TensorLoader& loader, const GqaSpec& spec, Range heads) {
  const LinearSpec& gate = *spec.output_gate;
  const bool by_head = gate.out() == spec.heads.heads;
  const Range part = by_head ? heads : ElementsOf(heads, params_.value_width());
  gate_ = loader.Matrix(gate.weight, {part, {0, gate.in()}});
  gate_bias_ = loader.Bias(gate, part);
  if (spec.gate_function == GateFunction::kSoftplus) {
    const std::vector<float> zeros(static_cast<size_t>(part.size()), 0.0f);
    gate_zeros_ = loader.backend().Store(zeros);
  }
}

uint64_t GqaOperator::CacheBytes(const Backend& backend, const GqaSpec& spec, const Share& share,
                                 const CacheOptions& cache, WeightsFormat format) {
  if (spec.cache_layer) return 0;
  const size_t index =
      spec.indexer ? Indexer::CacheBytes(backend, *spec.indexer, cache, format) : 0;
  return backend.CacheBytes(CacheShape(ShareOf(spec.heads, share), cache), CacheTypeOf(format)) +
         index;
}

void GqaOperator::TakeCache(Backend& backend) {
  if (!k_) return;
  cache_ = backend.CreateCache(cache_shape_, cache_type_);
  if (indexer_) indexer_->TakeCache(backend);
}

void GqaOperator::Forward(Backend& backend, MixerStep& step, const Tensor& input,
                          const Tensor& output) {
  const StepRows& where = step.where;
  Arena& arena = backend.scratch();
  const Arena::Scope scope(arena);
  const Tensor q = arena.Rows(input.rows, int64_t{params_.heads} * params_.head_dim);
  Tensor k, v;
  std::array<LinearOutput, 3> outputs{{{q_.get(), q_bias_.get(), q}}};
  if (k_) {
    k = arena.Rows(input.rows, int64_t{params_.kv_heads} * params_.head_dim);
    v = arena.Rows(input.rows, v_->rows());
    outputs[1] = {k_.get(), k_bias_.get(), k};
    outputs[2] = {v_.get(), v_bias_.get(), v};
  }
  const size_t own = k_ ? 3 : 1;  // queries alone, or keys and values too
  backend.Linear(input, std::span(outputs).first(own));
  if (v_norm_) {
    const Tensor values = v.Reshape(params_.value_width());
    v_norm_->Forward(backend, values, values);
  }
  if (value_multiplier_ != 1 && k_) backend.Scale(v, value_multiplier_);
  const auto normalise = [&] {
    Normalise(backend, q_norm_, q_weights_, q);
    Normalise(backend, k_norm_, k_weights_, k);
  };
  if (!norm_after_rope_) normalise();
  if (clip_ > 0) {
    for (size_t i = 0; i < own; ++i) backend.Clamp(outputs[i].output, clip_);
  }
  if (rope_) {
    backend.Rotate(*rope_, where, params_.head_dim, 0,
                   std::span<const Tensor>(std::array{q, k}).first(k_ ? 2 : 1));
  }
  if (norm_after_rope_) normalise();
  if (query_scaling_) backend.ScaleByPosition(*query_scaling_, where, q);
  const Tensor attended = arena.Rows(input.rows, o_->cols());
  if (indexer_) indexer_->Select(backend, step, input, input);
  backend.Attend(params_, where, q, k, v, sinks_.get(), *cache_, attended,
                 indexer_ && step.selection ? &*step.selection : nullptr);
  if (gate_) Gate(backend, input, attended);
  const LinearOutput projected{o_.get(), o_bias_.get(), output};
  backend.Linear(attended, {&projected, 1});
}

void GqaOperator::Gate(Backend& backend, const Tensor& input, const Tensor& attended) const {
  const Tensor gates = backend.scratch().Rows(input.rows, gate_->rows());
  const LinearOutput gated{gate_.get(), gate_bias_.get(), gates};
  backend.Linear(input, {&gated, 1});
  const bool by_head = gates.width != attended.width;
  const Tensor factors = by_head ? gates.Reshape(1) : gates;
  const Tensor x = by_head ? attended.Reshape(attended.width / gates.width) : attended;
  if (!gate_zeros_) return backend.ScaleBySigmoid(factors, x);
  backend.Softplus(*gate_zeros_, 0, std::numeric_limits<float>::max(), gates);
  backend.Multiply(factors, x);
}

void GqaOperator::Normalise(Backend& backend, const std::optional<Norm>& norm, const VectorPtr& own,
                            const Tensor& x) const {
  if (!norm) return;
  const Tensor rows = norm_per_head_ ? x.Reshape(params_.head_dim) : x;
  norm->Forward(backend, rows, rows);
  if (own) backend.ScaleColumns(*own, x);
}

uint64_t GqaOperator::weight_bytes() const {
  uint64_t bytes = q_->bytes() + o_->bytes();
  if (k_) bytes += k_->bytes();
  if (v_ != k_) bytes += v_->bytes();
  for (const VectorPtr* vector : {&q_bias_, &k_bias_, &v_bias_, &o_bias_, &q_weights_, &k_weights_,
                                  &sinks_, &gate_bias_, &gate_zeros_})
    bytes += BytesOf(*vector);
  for (const auto* norm : {&q_norm_, &k_norm_, &v_norm_}) bytes += *norm ? (*norm)->bytes() : 0;
  if (gate_) bytes += gate_->bytes();
  if (indexer_) bytes += indexer_->weight_bytes();
  return bytes;
}

uint64_t GqaOperator::SourceBytes(const GqaSpec& spec) {
  uint64_t bytes = 0;
  for (const LinearSpec* linear : {&spec.q, &spec.o}) bytes += conclave::SourceBytes(*linear);
  if (!spec.cache_layer) bytes += conclave::SourceBytes(spec.k);
  if (!spec.cache_layer && !spec.keys_are_values) bytes += conclave::SourceBytes(spec.v);
  for (const auto* norm : {&spec.q_norm, &spec.k_norm}) bytes += *norm ? (*norm)->bytes() : 0;
  if (spec.sinks) bytes += spec.sinks->bytes();
  if (spec.output_gate) bytes += conclave::SourceBytes(*spec.output_gate);
  if (spec.indexer) bytes += Indexer::SourceBytes(*spec.indexer);
  return bytes;
}

}  // namespace conclave
