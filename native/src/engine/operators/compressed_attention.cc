#include "conclave/engine/operators/compressed_attention.h"

#include <algorithm>
#include <array>

namespace conclave {
namespace {

KvCacheShape CacheShape(int head_dim, const SlotLayout& slots, const CacheOptions& cache) {
  return {cache.kv_blocks, slots.slots(), 1, head_dim, head_dim};
}

// Of index keys: entries alone.
KvCacheShape IndexShape(int head_dim, const SlotLayout& slots, const CacheOptions& cache) {
  return {cache.kv_blocks, slots.entries, 1, head_dim, head_dim};
}

FixedCacheSpec StatesOf(const CompressedAttentionSpec& spec) {
  FixedCacheSpec states{{{1, spec.compressor->state_elements()}}};
  if (spec.indexer) states.states.push_back({1, spec.indexer->keys.state_elements()});
  return states;
}

// Turns back by as much.
Rope InverseOf(Rope rope) {
  for (float& frequency : rope.inverse_frequencies) frequency = -frequency;
  return rope;
}

int32_t LastPosition(const StepRows& where) {
  const auto positions = where.where().positions;
  return *std::max_element(positions.begin(), positions.end());
}

}  // namespace

CompressedAttentionOperator::EntryIndexer::EntryIndexer(TensorLoader& loader,
                                                        const EntryIndexerSpec& spec,
                                                        const Rope& rope)
    : params(spec.params),
      q(loader.Matrix(spec.q.weight, Whole(spec.q.weight))),
      weights(loader.Matrix(spec.weights.weight, Whole(spec.weights.weight), WeightsFormat::kF32)),
      keys(loader, spec.keys, rope) {}

CompressedAttentionOperator::CompressedAttentionOperator(TensorLoader& loader,
                                                         const ModelSpec& model,
                                                         const CompressedAttentionSpec& spec,
                                                         const Share& share,
                                                         const CacheOptions& cache)
    : params_(spec.heads),
      window_(spec.window),
      slots_(SlotsOf(cache.block_size, spec.span())),
      rope_(model.ropes[static_cast<size_t>(spec.rope)]),
      inverse_rope_(InverseOf(rope_)),
      q_down_norm_(loader, spec.q_down_norm, spec.q_down.out()),
      q_norm_(loader, spec.q_norm, spec.heads.head_dim),
      key_norm_(loader, spec.key_norm, spec.heads.head_dim),
      options_(cache),
      cache_type_(CacheTypeOf(loader.format())),
      cache_bytes_(CacheBytes(loader.backend(), spec, cache, loader.format())) {
  const Range groups = share.Heads(spec.groups);
  const int64_t group_heads = spec.heads.heads / spec.groups;
  const int64_t rank = spec.reduce.out() / spec.groups;
  const Range heads{groups.begin * group_heads, groups.end * group_heads};
  params_.heads = static_cast<int>(heads.size());
  q_down_ = loader.Matrix(spec.q_down.weight, Whole(spec.q_down.weight));
  q_ = loader.Matrix(spec.q.weight, {{heads.begin * params_.head_dim, heads.end * params_.head_dim},
                                     {0, spec.q.in()}});
  key_ = loader.Matrix(spec.key.weight, Whole(spec.key.weight));
  for (int64_t group = groups.begin; group < groups.end; ++group)
    reduce_.push_back(loader.Rows(spec.reduce.weight, {group * rank, (group + 1) * rank}));
  output_ = loader.Matrix(spec.output.weight,
                          {{0, spec.output.out()}, {groups.begin * rank, groups.end * rank}});
  if (spec.sinks) sinks_ = loader.Vector(*spec.sinks, heads);
  if (!spec.compressor) return;
  compressor_.emplace(loader, *spec.compressor, rope_);
  if (spec.indexer) indexer_.emplace(loader, *spec.indexer, rope_);
  // Every rank folds all columns.
  states_.emplace(loader.backend(), StatesOf(spec), Share{}, cache);
}

uint64_t CompressedAttentionOperator::CacheBytes(const Backend& backend,
                                                 const CompressedAttentionSpec& spec,
                                                 const CacheOptions& cache, WeightsFormat format) {
  const SlotLayout slots = SlotsOf(cache.block_size, spec.span());
  const KvType type = CacheTypeOf(format);
  uint64_t bytes = backend.CacheBytes(CacheShape(spec.heads.head_dim, slots, cache), type);
  if (spec.indexer)
    bytes += backend.CacheBytes(IndexShape(spec.indexer->params.head_dim, slots, cache), type);
  if (spec.compressor) bytes += FixedStates(backend, StatesOf(spec), Share{}, cache).bytes();
  return bytes;
}

void CompressedAttentionOperator::TakeCache(Backend& backend) {
  cache_ = backend.CreateCache(CacheShape(params_.head_dim, slots_, options_), cache_type_);
  if (indexer_) {
    indexer_->cache =
        backend.CreateCache(IndexShape(indexer_->params.head_dim, slots_, options_), cache_type_);
  }
  if (states_) states_->Take(backend);
}

void CompressedAttentionOperator::Rotate(Backend& backend, const Rope& rope, const StepRows& where,
                                         int head_dim, const Tensor& x) const {
  backend.Rotate(rope, where, head_dim, head_dim - rope.rotary_dim, std::array{x});
}

CompressedAttentionOperator::Projected CompressedAttentionOperator::Project(
    Backend& backend, const Tensor& input) const {
  std::vector<LinearOutput> products;
  const auto product = [&](const Matrix* matrix) {
    products.push_back({matrix, nullptr, backend.scratch().Rows(input.rows, matrix->rows())});
    return products.back().output;
  };
  Projected projected{.query_input = product(q_down_.get()),
                      .key = product(key_.get()),
                      .values = {},
                      .gates = {},
                      .index_values = {},
                      .index_gates = {}};
  if (compressor_) {
    projected.values = product(compressor_->value());
    projected.gates = product(compressor_->gate());
  }
  if (indexer_) {
    projected.index_values = product(indexer_->keys.value());
    projected.index_gates = product(indexer_->keys.gate());
  }
  backend.Linear(input, products);
  q_down_norm_.Forward(backend, projected.query_input, projected.query_input);
  key_norm_.Forward(backend, projected.key, projected.key);
  return projected;
}

Tensor CompressedAttentionOperator::Queries(Backend& backend, const StepRows& where,
                                            const Tensor& query_input) const {
  const Tensor q = backend.scratch().Rows(query_input.rows, q_->rows());
  const LinearOutput queries{q_.get(), nullptr, q};
  backend.Linear(query_input, {&queries, 1});
  const Tensor heads = q.Reshape(params_.head_dim);
  q_norm_.Forward(backend, heads, heads);
  Rotate(backend, rope_, where, params_.head_dim, q);
  return q;
}

std::optional<KeySelection> CompressedAttentionOperator::SelectEntries(Backend& backend,
                                                                       const StepRows& where,
                                                                       const Tensor& input,
                                                                       const Projected& projected) {
  if (!indexer_) return std::nullopt;
  Arena& arena = backend.scratch();
  const SelectionParams& params = indexer_->params;
  indexer_->keys.Write(backend, where, projected.index_values, projected.index_gates,
                       states_->store(1), slots_, *indexer_->cache);
  const int64_t seen = (int64_t{LastPosition(where)} + 1) / params.span;
  if (seen <= params.kept) return std::nullopt;
  const Tensor q = arena.Rows(input.rows, indexer_->q->rows());
  const Tensor weights = arena.Rows(input.rows, indexer_->weights->rows());
  const LinearOutput queries{indexer_->q.get(), nullptr, q};
  const LinearOutput weighed{indexer_->weights.get(), nullptr, weights};
  backend.Linear(projected.query_input, {&queries, 1});
  backend.Linear(input, {&weighed, 1});
  Rotate(backend, rope_, where, params.head_dim, q);
  const KeySelection entries{arena.Take<int32_t>(input.rows, (seen - 1) / 32 + 1)};
  backend.SelectKeys(params, where, q, {}, &weights, *indexer_->cache, entries);
  return entries;
}

void CompressedAttentionOperator::Attend(Backend& backend, const StepRows& where, const Tensor& q,
                                         const Tensor& key, const KeySelection* entries,
                                         const Tensor& attended) {
  if (!compressor_) {
    const AttentionParams recent{params_.heads, 1,      params_.head_dim, params_.values_inside, 0,
                                 params_.scale, window_};
    backend.Attend(recent, where, q, key, {}, sinks_.get(), *cache_, attended);
    return;
  }
  const SequenceRowsData by_slot = RowsBySlot(slots_, where.where());
  const std::unique_ptr<StepRows> rows = backend.Place(by_slot.view());
  const int64_t words = slots_.SlotOf(LastPosition(where)) / 32 + 1;
  const KeySelection selection{backend.scratch().Take<int32_t>(q.rows, words)};
  backend.SelectSlots(slots_, window_, where, entries, selection);
  backend.Attend(params_, *rows, q, key, {}, sinks_.get(), *cache_, attended, &selection);
}

void CompressedAttentionOperator::Forward(Backend& backend, MixerStep& step, const Tensor& input,
                                          const Tensor& output) {
  const StepRows& where = step.where;
  Arena& arena = backend.scratch();
  const Arena::Scope scope(arena);
  if (states_) states_->Enter(backend, where.where());
  const Projected projected = Project(backend, input);
  const Tensor q = Queries(backend, where, projected.query_input);
  Rotate(backend, rope_, where, params_.head_dim, projected.key);
  if (compressor_) {
    compressor_->Write(backend, where, projected.values, projected.gates, states_->store(0), slots_,
                       *cache_);
  }
  const std::optional<KeySelection> entries = SelectEntries(backend, where, input, projected);
  const Tensor attended = arena.Rows(input.rows, q.width);
  Attend(backend, where, q, projected.key, entries ? &*entries : nullptr, attended);
  // Values are keys, which their positions have turned.
  Rotate(backend, inverse_rope_, where, params_.head_dim, attended);
  const Tensor reduced = arena.Rows(input.rows, output_->cols());
  backend.ProjectHeads(attended, reduce_, reduced);
  const LinearOutput projection{output_.get(), nullptr, output};
  backend.Linear(reduced, {&projection, 1});
}

uint64_t CompressedAttentionOperator::weight_bytes() const {
  uint64_t bytes = BytesOf(sinks_);
  for (const MatrixPtr* matrix : {&q_down_, &q_, &key_, &output_}) bytes += (*matrix)->bytes();
  for (const MatrixPtr& matrix : reduce_) bytes += matrix->bytes();
  for (const Norm* norm : {&q_down_norm_, &q_norm_, &key_norm_}) bytes += norm->bytes();
  if (compressor_) bytes += compressor_->weight_bytes();
  if (indexer_) {
    bytes += indexer_->q->bytes() + indexer_->weights->bytes() + indexer_->keys.weight_bytes();
  }
  return bytes;
}

uint64_t CompressedAttentionOperator::SourceBytes(const CompressedAttentionSpec& spec) {
  uint64_t bytes = spec.sinks ? spec.sinks->bytes() : 0;
  for (const LinearSpec* linear : {&spec.q_down, &spec.q, &spec.key, &spec.reduce, &spec.output})
    bytes += conclave::SourceBytes(*linear);
  for (const NormSpec* norm : {&spec.q_down_norm, &spec.q_norm, &spec.key_norm})
    bytes += norm->bytes();
  if (spec.compressor) bytes += Compressor::SourceBytes(*spec.compressor);
  if (spec.indexer) {
    bytes += conclave::SourceBytes(spec.indexer->q) + conclave::SourceBytes(spec.indexer->weights) +
             Compressor::SourceBytes(spec.indexer->keys);
  }
  return bytes;
}

}  // namespace conclave
