#include "binding/read_spec.h"

#include "binding/read.h"
#include "conclave/base/error.h"

namespace conclave::binding {
namespace {

constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;
constexpr int64_t kMaxUint32 = (int64_t{1} << 32) - 1;
constexpr int64_t kMaxInt32 = (int64_t{1} << 31) - 1;

// An enum of the wire: names that the engine does not know are UNSUPPORTED.
template <typename Enum>
Enum ReadEnum(const Fields& fields, const char* key,
              std::initializer_list<std::pair<const char*, Enum>> choices) {
  const std::string name = fields.String(key);
  for (const auto& [known, choice] : choices) {
    if (name == known) return choice;
  }
  throw Error(ErrorCode::kUnsupported, fields.PathOf(key) + ": the engine does not know " + name);
}

TensorRef ReadTensor(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  TensorRef tensor;
  tensor.name = fields.String("name");
  tensor.file = static_cast<uint32_t>(fields.Integer("file", 0, kMaxUint32));
  tensor.offset = static_cast<uint64_t>(fields.Integer("offset", 0, kMaxSafeInteger));
  tensor.type = ReadEnum<SourceType>(fields, "dtype",
                                     {{"DATA_TYPE_F32", SourceType::kF32},
                                      {"DATA_TYPE_F16", SourceType::kF16},
                                      {"DATA_TYPE_BF16", SourceType::kBF16}});
  tensor.shape = fields.Map("shape", [](Napi::Value length, const std::string& at) {
    return ReadInteger(length, at, 0, kMaxUint32);
  });
  return tensor;
}

TensorRef ReadTensor(const Fields& fields, const char* key) {
  return ReadTensor(fields.Get(key), fields.PathOf(key));
}

LinearSpec ReadLinear(const Fields& parent, const char* key) {
  const Fields fields = parent.Object(key);
  LinearSpec linear;
  linear.weight = ReadTensor(fields, "weight");
  if (fields.Has("bias")) linear.bias = ReadTensor(fields, "bias");
  return linear;
}

NormSpec ReadNorm(const Fields& parent, const char* key) {
  const Fields fields = parent.Object(key);
  return {ReadTensor(fields, "weight"), fields.Float("epsilon")};
}

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

AttentionSpec ReadAttention(const Fields& fields) {
  AttentionSpec attention;
  attention.heads = static_cast<int>(fields.Integer("heads", 1, 65536));
  attention.kv_heads = static_cast<int>(fields.Integer("kvHeads", 1, 65536));
  attention.head_dim = static_cast<int>(fields.Integer("headDim", 1, 65536));
  attention.scale = fields.Float("scale");
  attention.sliding_window = static_cast<int>(fields.Integer("slidingWindow", 0, kMaxInt32));
  attention.rope = static_cast<int>(fields.Integer("rope", 0, kMaxInt32));
  attention.q = ReadLinear(fields, "q");
  attention.k = ReadLinear(fields, "k");
  attention.v = ReadLinear(fields, "v");
  attention.o = ReadLinear(fields, "o");
  if (fields.Has("qNorm")) attention.q_norm = ReadNorm(fields, "qNorm");
  if (fields.Has("kNorm")) attention.k_norm = ReadNorm(fields, "kNorm");
  attention.qk_norm = ReadEnum<QkNorm>(fields, "qkNorm",
                                       {{"QK_NORM_UNSPECIFIED", QkNorm::kNone},
                                        {"QK_NORM_PER_HEAD", QkNorm::kPerHead},
                                        {"QK_NORM_FULL_WIDTH", QkNorm::kFullWidth}});
  attention.clip_qkv = fields.Float("clipQkv");
  return attention;
}

DenseFfnSpec ReadFfn(const Fields& fields) {
  DenseFfnSpec ffn;
  ffn.gate = ReadLinear(fields, "gate");
  ffn.up = ReadLinear(fields, "up");
  ffn.down = ReadLinear(fields, "down");
  ffn.activation =
      ReadEnum<Activation>(fields, "activation", {{"ACTIVATION_SILU", Activation::kSilu}});
  return ffn;
}

GateSpec ReadGate(const Fields& fields) {
  GateSpec gate;
  gate.weight = ReadTensor(fields, "weight");
  gate.top_k = static_cast<int>(fields.Integer("topK", 1, 65536));
  gate.scoring = ReadEnum<GateScoring>(fields, "scoring",
                                       {{"GATE_SCORING_SOFTMAX_ALL", GateScoring::kSoftmaxAll},
                                        {"GATE_SCORING_SOFTMAX_TOPK", GateScoring::kSoftmaxTopK}});
  gate.weight_multiplier = fields.Float("weightMultiplier");
  return gate;
}

MoeSpec ReadMoe(const Fields& fields) {
  MoeSpec moe;
  moe.gate = ReadGate(fields.Object("gate"));
  moe.experts = fields.Map("experts", [](Napi::Value value, const std::string& path) {
    return ReadFfn(Fields(value, path));
  });
  if (fields.Has("sharedExpert")) moe.shared_expert = ReadFfn(fields.Object("sharedExpert"));
  if (fields.Has("sharedExpertGate"))
    moe.shared_expert_gate = ReadTensor(fields, "sharedExpertGate");
  return moe;
}

LayerSpec ReadLayer(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  LayerSpec layer;
  layer.attention_norm = ReadNorm(fields, "attentionNorm");
  layer.attention = ReadAttention(fields.Object("attention"));
  layer.ffn_norm = ReadNorm(fields, "ffnNorm");
  if (fields.Has("moe")) {
    layer.ffn = ReadMoe(fields.Object("moe"));
  } else {
    layer.ffn = ReadFfn(fields.Object("dense"));
  }
  layer.residual_multiplier = fields.Float("residualMultiplier");
  return layer;
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
  spec.embedding = ReadTensor(fields, "embedding");
  spec.embedding_multiplier = fields.Float("embeddingMultiplier");
  spec.ropes = fields.Map("ropes", ReadRope);
  spec.layers = fields.Map("layers", ReadLayer);
  spec.final_norm = ReadNorm(fields, "finalNorm");
  spec.head = ReadLinear(fields, "head");
  spec.logit_multiplier = fields.Float("logitMultiplier");
  return spec;
}

}  // namespace conclave::binding
