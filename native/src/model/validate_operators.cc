#include "conclave/base/message.h"
#include "validator.h"

namespace conclave {
namespace {

// Ranks and routes find an operator by its layer and kind.
void CheckOnly(const std::string& path, int& count) {
  if (++count == 1) return;
  Fail(ErrorCode::kUnsupported, path,
       ": a second operator of its kind in one layer, which is not supported");
}

}  // namespace

void OperatorValidator::CheckOperator(const std::string& path, const OperatorSpec& op,
                                      Kinds& seen) {
  decltype(op.cache) cache;
  if (const auto* gqa = std::get_if<GqaSpec>(&op.kind)) {
    CheckOnly(path + ".gqa", seen.mixers);
    CheckGqa(path + ".gqa", *gqa);
    if (!gqa->cache_layer) {
      cache = PagedCacheSpec{.heads = gqa->heads.kv_heads,
                             .key_width = gqa->heads.head_dim,
                             .value_width = gqa->heads.value_width(),
                             .index_width = gqa->indexer ? gqa->indexer->params.head_dim : 0};
    }
  } else if (const auto* mla = std::get_if<MlaSpec>(&op.kind)) {
    CheckOnly(path + ".mla", seen.mixers);
    CheckMla(path + ".mla", *mla);
    cache = PagedCacheSpec{1,    mla->key_dim(), mla->latent_dim,
                           true, true,           mla->indexer ? mla->indexer->params.head_dim : 0};
  } else if (const auto* sum = std::get_if<RunningSumSpec>(&op.kind)) {
    CheckOnly(path + ".runningSum", seen.mixers);
    CheckRunningSum(path + ".runningSum", *sum);
    cache = FixedCacheSpec{{{sum->heads, sum->head_dim}}};
  } else if (const auto* linear = std::get_if<LinearAttentionSpec>(&op.kind)) {
    CheckOnly(path + ".linearAttention", seen.mixers);
    CheckLinearAttention(path + ".linearAttention", *linear);
    cache = CacheOf(*linear);
  } else if (const auto* convolution = std::get_if<ShortConvolutionSpec>(&op.kind)) {
    CheckOnly(path + ".shortConvolution", seen.mixers);
    CheckShortConvolution(path + ".shortConvolution", *convolution);
    cache = CacheOf(*convolution);
  } else if (const auto* scan = std::get_if<SelectiveScanSpec>(&op.kind)) {
    CheckOnly(path + ".selectiveScan", seen.mixers);
    CheckSelectiveScan(path + ".selectiveScan", *scan);
    cache = CacheOf(*scan);
  } else if (const auto* compressed = std::get_if<CompressedAttentionSpec>(&op.kind)) {
    CheckOnly(path + ".compressedAttention", seen.mixers);
    CheckCompressedAttention(path + ".compressedAttention", *compressed);
    cache = CacheOf(*compressed);
  } else if (const auto* dense = std::get_if<DenseSpec>(&op.kind)) {
    CheckOnly(path + ".dense", seen.dense);
    CheckFfn(path + ".dense.ffn", dense->ffn, spec_.hidden_size);
    CheckFinite(path + ".dense.multiplier", dense->multiplier);
    if (dense->output_gate)
      Matrix(path + ".dense.outputGate", *dense->output_gate, 1, spec_.hidden_size);
  } else if (const auto* input = std::get_if<TokenInputSpec>(&op.kind)) {
    CheckOnly(path + ".tokenInput", seen.token_inputs);
    CheckTokenInput(path + ".tokenInput", *input);
  } else {
    CheckOnly(path + ".moe", seen.moe);
    CheckMoe(path + ".moe", std::get<MoeSpec>(op.kind));
  }
  if (op.cache != cache) {
    Fail(ErrorCode::kInvalidArgument, path, ".cache: expected ",
         cache ? "the operator's heads and their widths" : "none");
  }
}

void OperatorValidator::CheckTokenInput(const std::string& path, const TokenInputSpec& spec) {
  const int64_t hidden = spec_.hidden_size;
  const int64_t width = spec.gate.weight.data.shape.empty() ? 0 : spec.width();
  if (width < 1)
    Fail(ErrorCode::kInvalidArgument, path, ".gate: expected at least 1 row, got ", width);
  Matrix(path + ".embedding", spec.embedding, spec_.vocab_size, width);
  CheckFinite(path + ".embeddingMultiplier", spec.embedding_multiplier);
  Linear(path + ".projection", spec.projection, width, hidden);
  Norm(path + ".norm", spec.norm, width);
  Linear(path + ".gate", spec.gate, width, hidden);
  Linear(path + ".output", spec.output, hidden, width);
}

void OperatorValidator::CheckRunningSum(const std::string& path, const RunningSumSpec& spec) {
  if (spec.heads < 1 || spec.head_dim < 1) {
    Fail(ErrorCode::kInvalidArgument, path, ".heads, headDim: expected at least 1, got ",
         spec.heads, ", ", spec.head_dim);
  }
  const int64_t width = int64_t{spec.heads} * spec.head_dim;
  Linear(path + ".value", spec.value, width, spec_.hidden_size);
  Linear(path + ".output", spec.output, spec_.hidden_size, width);
}

void OperatorValidator::CheckMla(const std::string& path, const MlaSpec& spec) {
  for (const int size : {spec.heads, spec.plain_dim, spec.value_dim, spec.latent_dim}) {
    if (size >= 1) continue;
    Fail(ErrorCode::kInvalidArgument, path,
         ".heads, plainDim, valueDim, latentDim: ", "expected at least 1, got ", size);
  }
  if (spec.rope) CheckRopeOf(path + ".rope", *spec.rope, spec.rotary_dim);
  CheckPositive(path + ".scale", spec.scale);
  if (spec.query_scaling) CheckFinite(path + ".queryScaling.factor", spec.query_scaling->factor);
  const int64_t hidden = spec_.hidden_size;
  int64_t q_width = hidden;
  if (spec.q_down) {
    q_width = spec.q_down->out();
    Linear(path + ".qDown", *spec.q_down, q_width, hidden);
  }
  if (spec.q_norm.has_value() != spec.q_down.has_value())
    Fail(ErrorCode::kInvalidArgument, path, ".qNorm: expected beside qDown, and only there");
  if (spec.q_norm) Norm(path + ".qNorm", *spec.q_norm, q_width);
  Linear(path + ".q", spec.q, int64_t{spec.heads} * (spec.plain_dim + spec.rotary_dim), q_width);
  Linear(path + ".latent", spec.latent, spec.key_dim(), hidden);
  Norm(path + ".latentNorm", spec.latent_norm, spec.latent_dim);
  if (spec.latent_norm.kind != NormKind::kRms) {
    Fail(ErrorCode::kUnsupported, path, ".latentNorm: expected one that divides by the root of ",
         "the mean square");
  }
  Matrix(path + ".expand", spec.expand, int64_t{spec.heads} * (spec.plain_dim + spec.value_dim),
         spec.latent_dim);
  Linear(path + ".o", spec.o, hidden, int64_t{spec.heads} * spec.value_dim);
  if (spec.output_gate) Linear(path + ".outputGate", *spec.output_gate, spec.heads, hidden);
  if (spec.indexer) {
    CheckIndexer(path + ".indexer", *spec.indexer, q_width);
    if (!spec.indexer->weights) {
      Fail(ErrorCode::kUnsupported, path, ".indexer.weights: expected them, as all heads read the ",
           "same keys");
    }
    if (spec.shares_selection)
      Fail(ErrorCode::kInvalidArgument, path, ".sharesSelection: expected false beside indexer");
  }
}

void OperatorValidator::CheckGqa(const std::string& path, const GqaSpec& spec) {
  const AttentionParams& a = spec.heads;
  if (a.heads < 1 || a.kv_heads < 1 || a.heads % a.kv_heads != 0) {
    Fail(ErrorCode::kInvalidArgument, path, ".heads: expected a multiple of kvHeads ", a.kv_heads,
         ", got ", a.heads);
  }
  if (a.head_dim < 1)
    Fail(ErrorCode::kInvalidArgument, path, ".headDim: expected at least 1, got ", a.head_dim);
  if (spec.rope) CheckRopeOf(path + ".rope", *spec.rope, a.head_dim);
  CheckFromZero(path + ".clipQkv", spec.clip_qkv);
  CheckFromZero(path + ".softcap", a.softcap);
  if (spec.query_scaling) CheckFinite(path + ".queryScaling.factor", spec.query_scaling->factor);
  CheckPositive(path + ".scale", a.scale);
  const int64_t q_width = int64_t{a.heads} * a.head_dim;
  const int64_t output_width = int64_t{a.heads} * a.value_width();
  Linear(path + ".q", spec.q, q_width, spec_.hidden_size);
  CheckGqaKeys(path, spec);
  Linear(path + ".o", spec.o, spec_.hidden_size, output_width);
  if (spec.output_gate) {
    const bool by_head = spec.output_gate->out() == a.heads;
    Linear(path + ".outputGate", *spec.output_gate, by_head ? a.heads : output_width,
           spec_.hidden_size);
    if (spec.gate_function == GateFunction::kSilu)
      Fail(ErrorCode::kUnsupported, path, ".gateFunction: expected SIGMOID or SOFTPLUS");
  }
  if (spec.indexer) {
    CheckIndexer(path + ".indexer", *spec.indexer, spec_.hidden_size);
    if (a.kv_heads % spec.indexer->selectors() != 0) {
      Fail(ErrorCode::kUnsupported, path, ".indexer.heads: expected a divisor of kvHeads ",
           a.kv_heads, ", got ", spec.indexer->selectors());
    }
  }
  if (spec.sinks) Tensor(path + ".sinks", *spec.sinks, {a.heads});
  if ((spec.q_norm || spec.k_norm) && spec.qk_norm == QkNorm::kNone) {
    Fail(ErrorCode::kInvalidArgument, path,
         ".qkNorm: expected PER_HEAD, FULL_WIDTH or EACH_HEAD where qNorm or kNorm is present");
  }
  const bool per_head = spec.qk_norm == QkNorm::kPerHead;
  if (spec.q_norm) Norm(path + ".qNorm", *spec.q_norm, per_head ? a.head_dim : q_width);
}

void OperatorValidator::CheckGqaKeys(const std::string& path, const GqaSpec& spec) {
  if (spec.cache_layer) {
    if (!spec.k_norm && !spec.v_norm && !spec.indexer) return;
    Fail(ErrorCode::kUnsupported, path, ".kNorm, vNorm, indexer: expected none beside cacheLayer");
  }
  const AttentionParams& a = spec.heads;
  const int64_t kv_width = int64_t{a.kv_heads} * a.head_dim;
  const bool per_head = spec.qk_norm == QkNorm::kPerHead;
  Linear(path + ".k", spec.k, kv_width, spec_.hidden_size);
  Linear(path + ".v", spec.v, int64_t{a.kv_heads} * a.value_width(), spec_.hidden_size);
  if (spec.keys_are_values && a.value_width() != a.head_dim)
    Fail(ErrorCode::kInvalidArgument, path, ".keysAreValues: expected values as wide as keys");
  if (spec.v_norm) Norm(path + ".vNorm", *spec.v_norm, a.value_width());
  CheckFinite(path + ".valueMultiplier", spec.value_multiplier);
  if (spec.k_norm) Norm(path + ".kNorm", *spec.k_norm, per_head ? a.head_dim : kv_width);
}

void OperatorValidator::CheckRopeOf(const std::string& path, int rope, int head_dim) {
  if (rope < 0 || static_cast<size_t>(rope) >= spec_.ropes.size()) {
    Fail(ErrorCode::kInvalidArgument, path, ": expected an index below ", spec_.ropes.size(),
         ", got ", rope);
  }
  if (spec_.ropes[rope].rotary_dim > head_dim) {
    Fail(ErrorCode::kInvalidArgument, path, ": rotates ", spec_.ropes[rope].rotary_dim,
         " dimensions of a head of ", head_dim);
  }
}

void OperatorValidator::CheckFfn(const std::string& path, const FfnSpec& ffn, int64_t outer) {
  const TensorRef& up = ffn.up.weight.data;
  const int64_t width = up.shape.empty() ? 0 : ffn.up.weight.rows();
  if (width < 1) {
    Fail(ErrorCode::kCorruptCheckpoint, "tensor ", up.name, " (", path,
         ".up.weight): expected shape [width, ", outer, "], got ", ShapeText(up.shape));
  }
  if (ffn.gate) Linear(path + ".gate", *ffn.gate, width, outer);
  if (ffn.gate.has_value() == (ffn.activation.function == Activation::kReluSquared)) {
    Fail(ErrorCode::kUnsupported, path, ".gate: expected one, but none for RELU_SQUARED");
  }
  Linear(path + ".up", ffn.up, width, outer);
  Linear(path + ".down", ffn.down, outer, width);
  const Activation function = ffn.activation.function;
  if (function == Activation::kClampedSwiglu || function == Activation::kClampedSilu)
    CheckPositive(path + ".activationLimit", ffn.activation.limit);
}

}  // namespace conclave
