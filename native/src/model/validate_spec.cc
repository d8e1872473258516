#include "conclave/base/message.h"
#include "validator.h"

namespace conclave {
namespace {

// So that rows * hidden * 4 bytes fit 63 bits for any number of rows that fits 31.
constexpr int64_t kMaxHidden = int64_t{1} << 24;
// Tokens are int32.
constexpr int64_t kMaxVocabulary = (int64_t{1} << 31) - 1;

class SpecValidator : public OperatorValidator {
 public:
  using OperatorValidator::OperatorValidator;

  void Run() {
    CheckSizes();
    Matrix("embedding", spec_.embedding, spec_.vocab_size, spec_.hidden_size);
    CheckFinite("embeddingMultiplier", spec_.embedding_multiplier);
    for (size_t i = 0; i < spec_.ropes.size(); ++i)
      CheckRope(Message("ropes[", i, "]"), spec_.ropes[i]);
    for (size_t i = 0; i < spec_.layers.size(); ++i) {
      CheckLayer(Message("layers[", i, "]"), spec_.layers[i]);
      CheckLeft(Message("layers[", i, "]"), i);
    }
    if (waiting_)
      Fail(ErrorCode::kInvalidArgument, "layers: expected a block that joins the last aside");
    if (spec_.streams < 1 || spec_.streams > kMaxStreams) {
      Fail(ErrorCode::kInvalidArgument, "streams: expected 1 to ", kMaxStreams, ", got ",
           spec_.streams);
    }
    CheckMix("headMix", spec_.head_mix, spec_.streams, 1);
    Norm("finalNorm", spec_.final_norm, spec_.hidden_size);
    Linear("head", spec_.head, spec_.vocab_size, spec_.hidden_size);
    CheckFinite("logitMultiplier", spec_.logit_multiplier);
    CheckFromZero("logitSoftcap", spec_.logit_softcap);
  }

 private:
  void CheckSizes() {
    if (spec_.hidden_size < 1 || spec_.hidden_size > kMaxHidden) {
      Fail(ErrorCode::kInvalidArgument, "hiddenSize: expected 1 to 2^24, got ", spec_.hidden_size);
    }
    if (spec_.vocab_size < 1 || spec_.vocab_size > kMaxVocabulary) {
      Fail(ErrorCode::kInvalidArgument, "vocabSize: expected 1 to 2^31 - 1, got ",
           spec_.vocab_size);
    }
    if (spec_.layers.empty()) Fail(ErrorCode::kInvalidArgument, "layers: expected at least one");
  }

  void CheckRope(const std::string& path, const Rope& rope) {
    if (rope.rotary_dim < 0 ||
        static_cast<size_t>(rope.rotary_dim) != 2 * rope.inverse_frequencies.size()) {
      Fail(ErrorCode::kInvalidArgument, path, ".rotaryDim: expected twice the ",
           rope.inverse_frequencies.size(), " inverse frequencies, got ", rope.rotary_dim);
    }
    CheckFinite(path + ".attentionFactor", rope.attention_factor);
    for (const float frequency : rope.inverse_frequencies)
      CheckFinite(path + ".inverseFrequencies", frequency);
  }

  void CheckLayer(const std::string& path, const LayerSpec& layer) {
    if (layer.blocks.empty())
      Fail(ErrorCode::kInvalidArgument, path, ".blocks: expected at least one");
    if (waiting_ && !layer.with_previous)
      Fail(ErrorCode::kInvalidArgument, path, ".withPrevious: expected true after a block aside");
    Kinds seen;
    for (size_t i = 0; i < layer.blocks.size(); ++i) {
      const BlockSpec& block = layer.blocks[i];
      const std::string at = Message(path, ".blocks[", i, "]");
      CheckBlock(at, block, seen);
      if (block.join ? !waiting_ : block.join_norm.has_value()) {
        Fail(ErrorCode::kInvalidArgument, at, ".join, joinNorm: expected after a block whose ",
             "result waits aside, and only there");
      }
      if (block.join) waiting_ = false;
      if (block.aside && waiting_)
        Fail(ErrorCode::kUnsupported, at, ".aside: while the result of another block waits");
      waiting_ = waiting_ || block.aside;
    }
    if (layer.scale) Tensor(path + ".scale", *layer.scale, {1});
  }

  // `rows` of the weight, and scales.
  void CheckMix(const std::string& path, const std::optional<StreamMixSpec>& mix, int64_t rows,
                int64_t scales) {
    if (mix.has_value() != (spec_.streams > 1)) {
      Fail(ErrorCode::kInvalidArgument, path, ": expected where the residual has several streams, ",
           "and only there; it has ", spec_.streams);
    }
    if (!mix) return;
    Matrix(path + ".weight", mix->weight, rows, spec_.residual_width());
    Tensor(path + ".base", mix->base, {rows});
    Tensor(path + ".scale", mix->scale, {scales});
    CheckFromZero(path + ".normEpsilon", mix->norm_epsilon);
    CheckFromZero(path + ".epsilon", mix->epsilon);
    if (scales > 1 && mix->iterations < 1) {
      Fail(ErrorCode::kInvalidArgument, path, ".iterations: expected at least 1, got ",
           mix->iterations);
    }
  }

  // What a layer reads of layers before it: they are in its stage.
  void CheckLeft(const std::string& path, size_t index) {
    size_t first = index;
    while (first > 0 && spec_.layers[first].with_previous) --first;
    const LayerSpec& layer = spec_.layers[index];
    if (layer.Find<TokenInputSpec>() != nullptr && first > 0)
      Fail(ErrorCode::kUnsupported, path, ".tokenInput: in another stage than the embedding");
    if (layer.Find<TokenInputSpec>() != nullptr && spec_.streams > 1) {
      Fail(ErrorCode::kUnsupported, path, ".tokenInput: expected one stream of the residual, got ",
           spec_.streams);
    }
    if (const MlaSpec* mla = layer.Find<MlaSpec>(); mla != nullptr && mla->shares_selection) {
      for (size_t before = first; before < index; ++before) {
        const MlaSpec* other = spec_.layers[before].Find<MlaSpec>();
        if (other != nullptr && other->indexer) return;
      }
      Fail(ErrorCode::kInvalidArgument, path, ".sharesSelection: expected an indexer before it");
    }
    const GqaSpec* gqa = layer.Find<GqaSpec>();
    if (gqa == nullptr || !gqa->cache_layer) return;
    const auto kept = static_cast<size_t>(*gqa->cache_layer);
    const GqaSpec* keeper =
        kept >= first && kept < index ? spec_.layers[kept].Find<GqaSpec>() : nullptr;
    if (keeper == nullptr || keeper->cache_layer || keeper->heads.kv_heads != gqa->heads.kv_heads ||
        keeper->heads.head_dim != gqa->heads.head_dim ||
        keeper->heads.value_width() != gqa->heads.value_width()) {
      Fail(ErrorCode::kInvalidArgument, path, ".cacheLayer: expected a layer before it in the ",
           "same stage that keeps as many keys and values, got ", kept);
    }
  }

  void CheckBlock(const std::string& path, const BlockSpec& block, Kinds& seen) {
    if (block.operators.empty())
      Fail(ErrorCode::kInvalidArgument, path, ".operators: expected at least one");
    const MoeSpec* moe = block.Find<MoeSpec>();
    if (moe != nullptr && moe->input && block.operators.size() > 1) {
      Fail(ErrorCode::kUnsupported, path, ".operators: expected nothing beside experts with an ",
           "input of their own");
    }
    if (block.Find<TokenInputSpec>() != nullptr && block.operators.size() > 1)
      Fail(ErrorCode::kUnsupported, path, ".operators: expected nothing beside a tokenInput");
    if (!block.pre_norm && !block.post_norm) {
      Fail(ErrorCode::kUnsupported, path,
           ".preNorm, postNorm: expected a norm before the operators ", "or after them, got none");
    }
    if (block.pre_norm) Norm(path + ".preNorm", *block.pre_norm, spec_.hidden_size);
    if (block.post_norm) Norm(path + ".postNorm", *block.post_norm, spec_.hidden_size);
    if (block.join_norm) Norm(path + ".joinNorm", *block.join_norm, spec_.hidden_size);
    for (size_t i = 0; i < block.operators.size(); ++i)
      CheckOperator(Message(path, ".operators[", i, "]"), block.operators[i], seen);
    CheckFinite(path + ".residualMultiplier", block.residual_multiplier);
    CheckMix(path + ".mix", block.mix, int64_t{spec_.streams} * (2 + spec_.streams), 3);
    if (block.mix &&
        (block.aside || block.join || !block.pre_norm || block.residual_multiplier != 1)) {
      Fail(ErrorCode::kUnsupported, path, ".preNorm, aside, join, residualMultiplier: expected a ",
           "norm before the operators, and the others at their defaults, where the residual has ",
           "several streams");
    }
  }

  bool waiting_ = false;  // a block's result is aside
};

}  // namespace

void ValidateSpec(const ModelSpec& spec) { SpecValidator(spec).Run(); }

}  // namespace conclave
