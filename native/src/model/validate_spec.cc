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
    for (size_t i = 0; i < spec_.layers.size(); ++i)
      CheckLayer(Message("layers[", i, "]"), spec_.layers[i]);
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
    Kinds seen;
    bool waiting = false;
    for (size_t i = 0; i < layer.blocks.size(); ++i) {
      const BlockSpec& block = layer.blocks[i];
      CheckBlock(Message(path, ".blocks[", i, "]"), block, seen);
      if (waiting != block.join_norm.has_value()) {
        Fail(ErrorCode::kInvalidArgument, path, ".blocks[", i, "].joinNorm: expected in the block ",
             "after one whose result waits aside, and only there");
      }
      waiting = block.aside;
    }
    if (waiting)
      Fail(ErrorCode::kInvalidArgument, path, ".blocks: expected none after the last aside");
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

  void CheckBlock(const std::string& path, const BlockSpec& block, Kinds& seen) {
    if (block.operators.empty())
      Fail(ErrorCode::kInvalidArgument, path, ".operators: expected at least one");
    if (!block.pre_norm && !block.post_norm) {
      Fail(ErrorCode::kUnsupported, path,
           ".preNorm, postNorm: expected a norm before the operators ", "or after them, got none");
    }
    if (block.pre_norm) Norm(path + ".preNorm", *block.pre_norm, spec_.hidden_size);
    if (block.post_norm) Norm(path + ".postNorm", *block.post_norm, spec_.hidden_size);
    if (block.join_norm) Norm(path + ".joinNorm", *block.join_norm, spec_.hidden_size);
    if ((block.aside || block.join_norm) && !block.post_norm)
      Fail(ErrorCode::kUnsupported, path, ".postNorm: expected one where results are joined");
    for (size_t i = 0; i < block.operators.size(); ++i)
      CheckOperator(Message(path, ".operators[", i, "]"), block.operators[i], seen);
    CheckFinite(path + ".residualMultiplier", block.residual_multiplier);
    CheckMix(path + ".mix", block.mix, int64_t{spec_.streams} * (2 + spec_.streams), 3);
    if (block.mix && (block.aside || !block.pre_norm || block.residual_multiplier != 1)) {
      Fail(ErrorCode::kUnsupported, path, ".preNorm, aside, residualMultiplier: expected a norm ",
           "before the operators, and the others at their defaults, where the residual has ",
           "several streams");
    }
  }
};

}  // namespace

void ValidateSpec(const ModelSpec& spec) { SpecValidator(spec).Run(); }

}  // namespace conclave
