#include "binding/convert/read_spec.h"

#include "binding/convert/read_matrix.h"
#include "binding/convert/read_operator.h"

namespace conclave::binding {
namespace {

Rope ReadRope(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  Rope rope;
  rope.inverse_frequencies =
      fields.Map("inverseFrequencies", [](Napi::Value frequency, const std::string& at) {
        return static_cast<float>(ReadNumber(frequency, at));
      });
  rope.attention_factor = fields.Float("attentionFactor");
  rope.rotary_dim = static_cast<int>(fields.Integer("rotaryDim", 0, kMaxInt32));
  rope.interleaved = ReadEnum<bool>(
      fields, "layout", {{"ROPE_LAYOUT_HALF", false}, {"ROPE_LAYOUT_INTERLEAVED", true}});
  return rope;
}

std::optional<StreamMixSpec> ReadMix(const Fields& parent, const char* key) {
  if (!parent.Has(key)) return std::nullopt;
  const Fields fields = parent.Object(key);
  StreamMixSpec mix;
  mix.weight = ReadMatrix(fields, "weight");
  mix.base = ReadTensor(fields, "base");
  mix.scale = ReadTensor(fields, "scale");
  mix.norm_epsilon = fields.Float("normEpsilon");
  mix.epsilon = fields.Float("epsilon");
  mix.iterations = static_cast<int>(fields.Integer("iterations", 0, 65536));
  return mix;
}

BlockSpec ReadBlock(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  BlockSpec block;
  if (fields.Has("preNorm")) block.pre_norm = ReadNorm(fields, "preNorm");
  block.operators = fields.Map("operators", ReadOperator);
  if (fields.Has("postNorm")) block.post_norm = ReadNorm(fields, "postNorm");
  block.aside = fields.Boolean("aside");
  block.join = fields.Boolean("join");
  if (fields.Has("joinNorm")) block.join_norm = ReadNorm(fields, "joinNorm");
  block.residual_multiplier = fields.Float("residualMultiplier");
  block.mix = ReadMix(fields, "mix");
  return block;
}

LayerSpec ReadLayer(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  return {fields.Map("blocks", ReadBlock), ReadOptionalTensor(fields, "scale"),
          fields.Boolean("withPrevious")};
}

CheckpointFile ReadFile(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  return {fields.String("path"),
          static_cast<uint64_t>(fields.Integer("bytes", 0, kMaxSafeInteger))};
}

}  // namespace

ModelSpec ReadModelSpec(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  ModelSpec spec;
  spec.name = fields.String("name");
  spec.hidden_size = fields.Integer("hiddenSize", 1, kMaxUint32);
  spec.vocab_size = fields.Integer("vocabSize", 1, kMaxUint32);
  spec.files = fields.Map("files", ReadFile);
  spec.embedding = ReadMatrix(fields, "embedding");
  spec.embedding_multiplier = fields.Float("embeddingMultiplier");
  spec.ropes = fields.Map("ropes", ReadRope);
  spec.streams = static_cast<int>(fields.Integer("streams", 0, kMaxStreams));
  if (spec.streams == 0) spec.streams = 1;
  spec.layers = fields.Map("layers", ReadLayer);
  spec.head_mix = ReadMix(fields, "headMix");
  spec.final_norm = ReadNorm(fields, "finalNorm");
  spec.head = ReadLinear(fields, "head");
  spec.logit_multiplier = fields.Float("logitMultiplier");
  spec.logit_softcap = fields.Float("logitSoftcap");
  return spec;
}

}  // namespace conclave::binding
