#include "conclave/engine/operators/gqa.h"

#include <array>

namespace conclave {
namespace {

Range HeadRange(int first, int end, int head_dim) {
  return {int64_t{first} * head_dim, int64_t{end} * head_dim};
}

}  // namespace

GqaOperator::GqaOperator(TensorLoader& loader, const AttentionSpec& spec, const Rope& rope,
                         const RankSlice& slice, const CacheOptions& cache, bool output_bias)
    : rope_(rope), norm_per_head_(spec.qk_norm == QkNorm::kPerHead), clip_(spec.clip_qkv) {
  const int group = spec.heads / spec.kv_heads;
  const int kv_heads = slice.end_kv_head - slice.first_kv_head;
  const Range q = HeadRange(slice.first_kv_head * group, slice.end_kv_head * group, spec.head_dim);
  const Range kv = HeadRange(slice.first_kv_head, slice.end_kv_head, spec.head_dim);
  const Range hidden{0, spec.q.in()};
  q_ = loader.Matrix(spec.q.weight, {q, hidden});
  k_ = loader.Matrix(spec.k.weight, {kv, hidden});
  v_ = loader.Matrix(spec.v.weight, {kv, hidden});
  o_ = loader.Matrix(spec.o.weight, {hidden, q});
  q_bias_ = loader.Vector(spec.q.bias, q);
  k_bias_ = loader.Vector(spec.k.bias, kv);
  v_bias_ = loader.Vector(spec.v.bias, kv);
  if (output_bias) o_bias_ = loader.Vector(spec.o.bias, hidden);
  // A norm over all heads only occurs where the share has all heads; a per-head norm is the same
  // for each head.
  if (spec.q_norm) q_norm_.emplace(loader, *spec.q_norm);
  if (spec.k_norm) k_norm_.emplace(loader, *spec.k_norm);
  params_ = {kv_heads * group, kv_heads, spec.head_dim, spec.scale, spec.sliding_window};
  cache_shape_ = {cache.kv_blocks, cache.block_size, kv_heads, spec.head_dim};
  cache_type_ = loader.format() == WeightsFormat::kF32 ? KvType::kF32 : KvType::kBF16;
  cache_bytes_ = loader.backend().CacheBytes(cache_shape_, cache_type_);
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

uint64_t GqaOperator::SourceBytes(const AttentionSpec& spec) {
  uint64_t bytes = 0;
  for (const LinearSpec* linear : {&spec.q, &spec.k, &spec.v, &spec.o})
    bytes += conclave::SourceBytes(*linear);
  if (spec.q_norm) bytes += spec.q_norm->weight.bytes();
  if (spec.k_norm) bytes += spec.k_norm->weight.bytes();
  return bytes;
}

}  // namespace conclave
