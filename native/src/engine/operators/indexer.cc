#include "conclave/engine/operators/indexer.h"

#include <algorithm>
#include <array>

namespace conclave {
namespace {

KvCacheShape CacheShape(const IndexerSpec& spec, const CacheOptions& cache) {
  return {cache.kv_blocks, cache.block_size, 1, spec.params.head_dim, spec.params.head_dim};
}

SelectionParams ShareOf(const IndexerSpec& spec, Range heads) {
  SelectionParams params = spec.params;
  if (!spec.weights) params.heads = static_cast<int>(heads.size());
  return params;
}

}  // namespace

Indexer::Indexer(TensorLoader& loader, const ModelSpec& model, const IndexerSpec& spec, Range heads,
                 const CacheOptions& cache)
    : params_(ShareOf(spec, heads)),
      selectors_(spec.weights ? 1 : params_.heads),
      k_norm_(loader, spec.k_norm, params_.head_dim),
      cache_shape_(CacheShape(spec, cache)),
      cache_type_(CacheTypeOf(loader.format())),
      cache_bytes_(loader.backend().CacheBytes(cache_shape_, cache_type_)) {
  if (spec.rope) rope_ = model.ropes[*spec.rope];
  const int64_t first = spec.weights ? 0 : heads.begin;
  const Range queries{first * params_.head_dim, (first + params_.heads) * params_.head_dim};
  q_ = loader.Matrix(spec.q.weight, {queries, {0, spec.q.in()}});
  q_bias_ = loader.Bias(spec.q, queries);
  k_ = loader.Matrix(spec.k.weight, Whole(spec.k.weight));
  k_bias_ = loader.Bias(spec.k, {0, spec.k.out()});
  if (spec.q_norm) q_norm_.emplace(loader, *spec.q_norm, params_.head_dim);
  if (spec.weights) {
    weights_ =
        loader.Matrix(spec.weights->weight, Whole(spec.weights->weight), WeightsFormat::kF32);
  }
}

uint64_t Indexer::CacheBytes(const Backend& backend, const IndexerSpec& spec,
                             const CacheOptions& cache, WeightsFormat format) {
  return backend.CacheBytes(CacheShape(spec, cache), CacheTypeOf(format));
}

void Indexer::TakeCache(Backend& backend) {
  cache_ = backend.CreateCache(cache_shape_, cache_type_);
}

void Indexer::Select(Backend& backend, MixerStep& step, const Tensor& input,
                     const Tensor& query_input) {
  const StepRows& where = step.where;
  Arena& arena = backend.scratch();
  const Tensor q = arena.Rows(input.rows, q_->rows());
  const Tensor k = arena.Rows(input.rows, k_->rows());
  const LinearOutput queries{q_.get(), q_bias_.get(), q};
  const LinearOutput keys{k_.get(), k_bias_.get(), k};
  backend.Linear(query_input, {&queries, 1});
  backend.Linear(input, {&keys, 1});
  if (q_norm_) {
    const Tensor heads = q.Reshape(params_.head_dim);
    q_norm_->Forward(backend, heads, heads);
  }
  k_norm_.Forward(backend, k, k);
  if (rope_) backend.Rotate(*rope_, where, params_.head_dim, 0, std::array{q, k});
  Tensor weights;
  if (weights_) {
    weights = arena.Rows(input.rows, weights_->rows());
    const LinearOutput weighed{weights_.get(), nullptr, weights};
    backend.Linear(input, {&weighed, 1});
  }
  const auto positions = where.where().positions;
  const int32_t last = *std::max_element(positions.begin(), positions.end());
  const int64_t width = int64_t{selectors_} * (last / 32 + 1);
  if (step.words.width != width) step.words = step.arena.Take<int32_t>(input.rows, width);
  const KeySelection selection{step.words, selectors_};
  backend.SelectKeys(params_, where, q, k, weights_ ? &weights : nullptr, *cache_, selection);
  step.selection.reset();
  if (last >= int64_t{params_.kept} * params_.block_size) step.selection = selection;
}

uint64_t Indexer::weight_bytes() const {
  return q_->bytes() + k_->bytes() + (weights_ ? weights_->bytes() : 0) + BytesOf(q_bias_) +
         BytesOf(k_bias_) + (q_norm_ ? q_norm_->bytes() : 0) + k_norm_.bytes();
}

uint64_t Indexer::SourceBytes(const IndexerSpec& spec) {
  return conclave::SourceBytes(spec.q) + conclave::SourceBytes(spec.k) + spec.k_norm.bytes() +
         (spec.q_norm ? spec.q_norm->bytes() : 0) +
         (spec.weights ? conclave::SourceBytes(*spec.weights) : 0);
}

}  // namespace conclave
