#include "conclave/engine/operators/mla.h"

#include <array>

namespace conclave {
namespace {

AttentionParams ParamsOf(const MlaSpec& spec, Range heads) {
  return {.heads = static_cast<int>(heads.size()),
          .kv_heads = 1,
          .head_dim = spec.key_dim(),
          .values_inside = spec.latent_dim,
          .scale = spec.scale};
}

KvCacheShape CacheShape(const MlaSpec& spec, const CacheOptions& cache) {
  return {cache.kv_blocks, cache.block_size, 1, spec.key_dim(), spec.latent_dim};
}

Range ElementsOf(Range heads, int64_t width) { return {heads.begin * width, heads.end * width}; }

}  // namespace

MlaOperator::MlaOperator(TensorLoader& loader, const ModelSpec& model, const MlaSpec& spec,
                         const Share& share, const CacheOptions& cache, bool output_bias)
    : rope_(spec.rope ? std::optional(model.ropes[*spec.rope]) : std::nullopt),
      params_(ParamsOf(spec, share.Heads(spec.heads))),
      query_scaling_(spec.query_scaling),
      shares_selection_(spec.shares_selection),
      latent_norm_(loader, spec.latent_norm, spec.latent_dim),
      cache_shape_(CacheShape(spec, cache)),
      cache_type_(CacheTypeOf(loader.format())),
      cache_bytes_(loader.backend().CacheBytes(cache_shape_, cache_type_)) {
  const Range heads = share.Heads(spec.heads);
  const Range queries = ElementsOf(heads, spec.plain_dim + spec.rotary_dim);
  if (spec.q_down) {
    q_down_ = loader.Matrix(spec.q_down->weight, Whole(spec.q_down->weight));
    q_down_bias_ = loader.Bias(*spec.q_down, {0, spec.q_down->out()});
    q_norm_.emplace(loader, *spec.q_norm, spec.q_down->out());
  }
  q_ = loader.Matrix(spec.q.weight, {queries, {0, spec.q.in()}});
  q_bias_ = loader.Bias(spec.q, queries);
  latent_ = loader.Matrix(spec.latent.weight, Whole(spec.latent.weight));
  latent_bias_ = loader.Bias(spec.latent, {0, spec.latent.out()});
  for (int64_t head = heads.begin; head < heads.end; ++head) {
    const int64_t keys = head * (spec.plain_dim + spec.value_dim);
    const int64_t values = keys + spec.plain_dim;
    keys_.push_back(loader.TransposedRows(spec.expand, {keys, values}));
    values_.push_back(loader.Rows(spec.expand, {values, values + spec.value_dim}));
  }
  o_ = loader.Matrix(spec.o.weight, {{0, spec.o.out()}, ElementsOf(heads, spec.value_dim)});
  if (output_bias) o_bias_ = loader.Bias(spec.o, {0, spec.o.out()});
  if (spec.output_gate)
    gate_ = loader.Matrix(spec.output_gate->weight, {heads, {0, spec.output_gate->in()}});
  if (spec.indexer) indexer_.emplace(loader, model, *spec.indexer, heads, cache);
}

uint64_t MlaOperator::CacheBytes(const Backend& backend, const MlaSpec& spec,
                                 const CacheOptions& cache, WeightsFormat format) {
  const size_t index =
      spec.indexer ? Indexer::CacheBytes(backend, *spec.indexer, cache, format) : 0;
  return backend.CacheBytes(CacheShape(spec, cache), CacheTypeOf(format)) + index;
}

void MlaOperator::TakeCache(Backend& backend) {
  cache_ = backend.CreateCache(cache_shape_, cache_type_);
  if (indexer_) indexer_->TakeCache(backend);
}

Tensor MlaOperator::QueryInput(Backend& backend, const Tensor& input) const {
  if (!q_down_) return input;
  const Tensor rows = backend.scratch().Rows(input.rows, q_down_->rows());
  const LinearOutput down{q_down_.get(), q_down_bias_.get(), rows};
  backend.Linear(input, {&down, 1});
  q_norm_->Forward(backend, rows, rows);
  return rows;
}

void MlaOperator::Forward(Backend& backend, MixerStep& step, const Tensor& input,
                          const Tensor& output) {
  const StepRows& where = step.where;
  Arena& arena = backend.scratch();
  const Arena::Scope scope(arena);
  const int key_dim = params_.head_dim;
  const int latent_dim = params_.values_inside;
  const LinearOutput key{latent_.get(), latent_bias_.get(), arena.Rows(input.rows, key_dim)};
  backend.Linear(input, {&key, 1});
  latent_norm_.Forward(backend, key.output, key.output);
  const Tensor q = arena.Rows(input.rows, int64_t{params_.heads} * key_dim);
  const Tensor query_input = QueryInput(backend, input);
  const LinearOutput queries{q_.get(), q_bias_.get(), arena.Rows(input.rows, q_->rows())};
  backend.Linear(query_input, {&queries, 1});
  backend.ProjectHeads(queries.output, keys_, q);
  if (rope_) backend.Rotate(*rope_, where, key_dim, latent_dim, std::array{q, key.output});
  if (query_scaling_) backend.ScaleByPosition(*query_scaling_, where, q);
  const Tensor latents = arena.Rows(input.rows, int64_t{params_.heads} * latent_dim);
  if (indexer_) indexer_->Select(backend, step, input, query_input);
  const bool selects = (indexer_ || shares_selection_) && step.selection;
  backend.Attend(params_, where, q, key.output, {}, nullptr, *cache_, latents,
                 selects ? &*step.selection : nullptr);
  const Tensor attended = arena.Rows(input.rows, o_->cols());
  backend.ProjectHeads(latents, values_, attended);
  if (gate_) {
    const LinearOutput gates{gate_.get(), nullptr, arena.Rows(input.rows, params_.heads)};
    backend.Linear(input, {&gates, 1});
    backend.ScaleBySigmoid(gates.output.Reshape(1),
                           attended.Reshape(attended.width / params_.heads));
  }
  const LinearOutput projected{o_.get(), o_bias_.get(), output};
  backend.Linear(attended, {&projected, 1});
}

uint64_t MlaOperator::weight_bytes() const {
  uint64_t bytes = q_->bytes() + latent_->bytes() + o_->bytes() + latent_norm_.bytes();
  if (q_down_) bytes += q_down_->bytes() + q_norm_->bytes();
  if (gate_) bytes += gate_->bytes();
  if (indexer_) bytes += indexer_->weight_bytes();
  for (const VectorPtr* vector : {&q_down_bias_, &q_bias_, &latent_bias_, &o_bias_})
    bytes += BytesOf(*vector);
  for (const auto* matrices : {&keys_, &values_}) {
    for (const MatrixPtr& matrix : *matrices) bytes += matrix->bytes();
  }
  return bytes;
}

uint64_t MlaOperator::SourceBytes(const MlaSpec& spec) {
  uint64_t bytes = spec.latent_norm.bytes() + spec.expand.bytes();
  for (const LinearSpec* linear : {&spec.q, &spec.latent, &spec.o})
    bytes += conclave::SourceBytes(*linear);
  if (spec.output_gate) bytes += conclave::SourceBytes(*spec.output_gate);
  if (spec.indexer) bytes += Indexer::SourceBytes(*spec.indexer);
  if (spec.q_down) bytes += conclave::SourceBytes(*spec.q_down) + spec.q_norm->bytes();
  return bytes;
}

}  // namespace conclave
