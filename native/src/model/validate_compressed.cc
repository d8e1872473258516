#include "conclave/base/message.h"
#include "validator.h"

namespace conclave {

CompressedCacheSpec CacheOf(const CompressedAttentionSpec& spec) {
  CompressedCacheSpec cache{.key_width = spec.heads.head_dim, .span = spec.span()};
  if (spec.compressor) cache.state_elements += spec.compressor->state_elements();
  if (spec.indexer) {
    cache.index_width = spec.indexer->params.head_dim;
    cache.state_elements += spec.indexer->keys.state_elements();
  }
  return cache;
}

void OperatorValidator::CheckCompressor(const std::string& path, const CompressorSpec& spec,
                                        int span, int64_t width) {
  if (spec.fold.span != span || span < 1) {
    Fail(ErrorCode::kInvalidArgument, path, ".span: expected ", span, ", at least 1, got ",
         spec.fold.span);
  }
  const int64_t stored = spec.fold.overlapping ? 2 * width : width;
  Linear(path + ".value", spec.value, stored, spec_.hidden_size);
  Linear(path + ".gate", spec.gate, stored, spec_.hidden_size);
  Matrix(path + ".bias", spec.bias, span, stored);
  Norm(path + ".norm", spec.norm, width);
}

void OperatorValidator::CheckCompressedAttention(const std::string& path,
                                                 const CompressedAttentionSpec& spec) {
  const AttentionParams& a = spec.heads;
  if (a.heads < 1 || a.head_dim < 1 || spec.window < 1) {
    Fail(ErrorCode::kInvalidArgument, path, ".heads, headDim, window: expected at least 1, ",
         "got ", a.heads, ", ", a.head_dim, ", ", spec.window);
  }
  if (spec.groups < 1 || a.heads % spec.groups != 0) {
    Fail(ErrorCode::kInvalidArgument, path, ".groups: expected a divisor of the ", a.heads,
         " heads, got ", spec.groups);
  }
  CheckPositive(path + ".scale", a.scale);
  CheckRopeOf(path + ".rope", spec.rope, a.head_dim);
  const int64_t hidden = spec_.hidden_size;
  const int64_t rank = spec.q_down.weight.data.shape.empty() ? 0 : spec.q_down.out();
  const int64_t reduced = spec.reduce.weight.data.shape.empty() ? 0 : spec.reduce.out();
  if (rank < 1 || reduced < spec.groups || reduced % spec.groups != 0) {
    Fail(ErrorCode::kCorruptCheckpoint, path, ".qDown, reduce: expected rows, and of reduce a ",
         "multiple of the ", spec.groups, " groups, got ", rank, ", ", reduced);
  }
  Linear(path + ".qDown", spec.q_down, rank, hidden);
  Norm(path + ".qDownNorm", spec.q_down_norm, rank);
  Linear(path + ".q", spec.q, int64_t{a.heads} * a.head_dim, rank);
  Norm(path + ".qNorm", spec.q_norm, a.head_dim);
  Linear(path + ".key", spec.key, a.head_dim, hidden);
  Norm(path + ".keyNorm", spec.key_norm, a.head_dim);
  if (spec.sinks) Tensor(path + ".sinks", *spec.sinks, {a.heads});
  Linear(path + ".reduce", spec.reduce, reduced, int64_t{a.heads / spec.groups} * a.head_dim);
  Linear(path + ".output", spec.output, hidden, reduced);
  for (const LinearSpec* linear : {&spec.q_down, &spec.q, &spec.key, &spec.reduce, &spec.output}) {
    if (linear->bias)
      Fail(ErrorCode::kUnsupported, path, ": biases of compressed attention's projections");
  }
  if (spec.compressor)
    CheckCompressor(path + ".compressor", *spec.compressor, spec.span(), a.head_dim);
  if (!spec.indexer) return;
  const EntryIndexerSpec& indexer = *spec.indexer;
  if (!spec.compressor)
    Fail(ErrorCode::kInvalidArgument, path, ".indexer: expected beside a compressor only");
  CheckRopeOf(path + ".indexer.headDim", spec.rope, indexer.params.head_dim);
  Linear(path + ".indexer.q", indexer.q, int64_t{indexer.params.heads} * indexer.params.head_dim,
         rank);
  Linear(path + ".indexer.weights", indexer.weights, indexer.params.heads, hidden);
  CheckCompressor(path + ".indexer.keys", indexer.keys, spec.span(), indexer.params.head_dim);
}

}  // namespace conclave
