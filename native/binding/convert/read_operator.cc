#include "binding/convert/read_operator.h"

#include "binding/convert/read_matrix.h"
#include "binding/convert/read_mixers.h"

namespace conclave::binding {
namespace {

std::optional<QueryScaling> ReadQueryScaling(const Fields& fields) {
  if (!fields.Has("queryScaling")) return std::nullopt;
  const Fields scaling = fields.Object("queryScaling");
  return QueryScaling{scaling.Float("factor"),
                      static_cast<int>(scaling.Integer("interval", 1, kMaxInt32)),
                      static_cast<int>(scaling.Integer("offset", 0, kMaxInt32))};
}

GqaSpec ReadGqa(const Fields& fields) {
  GqaSpec gqa;
  gqa.heads.heads = static_cast<int>(fields.Integer("heads", 1, 65536));
  gqa.heads.kv_heads = static_cast<int>(fields.Integer("kvHeads", 1, 65536));
  gqa.heads.head_dim = static_cast<int>(fields.Integer("headDim", 1, 65536));
  gqa.heads.value_dim = static_cast<int>(fields.Integer("valueDim", 0, 65536));
  gqa.heads.scale = fields.Float("scale");
  gqa.heads.sliding_window = static_cast<int>(fields.Integer("slidingWindow", 0, kMaxInt32));
  gqa.heads.chunk = static_cast<int>(fields.Integer("chunk", 0, kMaxInt32));
  gqa.heads.softcap = fields.Float("softcap");
  if (fields.Has("rope")) gqa.rope = static_cast<int>(fields.Integer("rope", 0, kMaxInt32));
  gqa.q = ReadLinear(fields, "q");
  if (fields.Has("cacheLayer")) {
    gqa.cache_layer = static_cast<int>(fields.Integer("cacheLayer", 0, kMaxInt32));
  } else {
    gqa.k = ReadLinear(fields, "k");
    gqa.v = ReadLinear(fields, "v");
  }
  gqa.o = ReadLinear(fields, "o");
  if (fields.Has("qNorm")) gqa.q_norm = ReadNorm(fields, "qNorm");
  if (fields.Has("kNorm")) gqa.k_norm = ReadNorm(fields, "kNorm");
  gqa.qk_norm = ReadEnum<QkNorm>(fields, "qkNorm",
                                 {{"QK_NORM_UNSPECIFIED", QkNorm::kNone},
                                  {"QK_NORM_PER_HEAD", QkNorm::kPerHead},
                                  {"QK_NORM_FULL_WIDTH", QkNorm::kFullWidth},
                                  {"QK_NORM_EACH_HEAD", QkNorm::kEachHead}});
  gqa.norm_after_rope = fields.Boolean("normAfterRope");
  gqa.clip_qkv = fields.Float("clipQkv");
  gqa.query_scaling = ReadQueryScaling(fields);
  gqa.sinks = ReadOptionalTensor(fields, "sinks");
  if (fields.Has("outputGate")) gqa.output_gate = ReadLinear(fields, "outputGate");
  gqa.gate_function = ReadGateFunction(fields, GateFunction::kSigmoid);
  if (fields.Has("vNorm")) gqa.v_norm = ReadNorm(fields, "vNorm");
  gqa.keys_are_values = fields.Boolean("keysAreValues");
  gqa.value_multiplier = fields.Float("valueMultiplier");
  gqa.indexer = ReadIndexer(fields);
  return gqa;
}

MlaSpec ReadMla(const Fields& fields) {
  MlaSpec mla;
  mla.heads = static_cast<int>(fields.Integer("heads", 1, 65536));
  mla.plain_dim = static_cast<int>(fields.Integer("plainDim", 1, 65536));
  mla.rotary_dim = static_cast<int>(fields.Integer("rotaryDim", 0, 65536));
  mla.value_dim = static_cast<int>(fields.Integer("valueDim", 1, 65536));
  mla.latent_dim = static_cast<int>(fields.Integer("latentDim", 1, 65536));
  mla.scale = fields.Float("scale");
  if (fields.Has("rope")) mla.rope = static_cast<int>(fields.Integer("rope", 0, kMaxInt32));
  if (fields.Has("qDown")) mla.q_down = ReadLinear(fields, "qDown");
  if (fields.Has("qNorm")) mla.q_norm = ReadNorm(fields, "qNorm");
  mla.q = ReadLinear(fields, "q");
  mla.latent = ReadLinear(fields, "latent");
  mla.latent_norm = ReadNorm(fields, "latentNorm");
  mla.expand = ReadMatrix(fields, "expand");
  mla.o = ReadLinear(fields, "o");
  mla.query_scaling = ReadQueryScaling(fields);
  if (fields.Has("outputGate")) mla.output_gate = ReadLinear(fields, "outputGate");
  mla.indexer = ReadIndexer(fields);
  mla.shares_selection = fields.Boolean("sharesSelection");
  return mla;
}

RunningSumSpec ReadRunningSum(const Fields& fields) {
  return {static_cast<int>(fields.Integer("heads", 1, 65536)),
          static_cast<int>(fields.Integer("headDim", 1, 65536)), ReadLinear(fields, "value"),
          ReadLinear(fields, "output")};
}

FfnSpec ReadFfn(const Fields& fields) {
  FfnSpec ffn;
  if (fields.Has("gate")) ffn.gate = ReadLinear(fields, "gate");
  ffn.up = ReadLinear(fields, "up");
  ffn.down = ReadLinear(fields, "down");
  ffn.activation.function =
      ReadEnum<Activation>(fields, "activation",
                           {{"ACTIVATION_SILU", Activation::kSilu},
                            {"ACTIVATION_GELU_TANH", Activation::kGeluTanh},
                            {"ACTIVATION_CLAMPED_SWIGLU", Activation::kClampedSwiglu},
                            {"ACTIVATION_CLAMPED_SILU", Activation::kClampedSilu},
                            {"ACTIVATION_RELU_SQUARED", Activation::kReluSquared}});
  ffn.activation.limit = fields.Float("activationLimit");
  return ffn;
}

DenseSpec ReadDense(const Fields& fields) {
  DenseSpec dense;
  dense.ffn = ReadFfn(fields.Object("ffn"));
  if (fields.Has("outputGate")) dense.output_gate = ReadMatrix(fields, "outputGate");
  dense.multiplier = fields.Float("multiplier");
  return dense;
}

GateSpec ReadGate(const Fields& fields) {
  GateSpec gate;
  gate.linear.weight = ReadMatrix(fields, "weight");
  gate.linear.bias = ReadOptionalTensor(fields, "bias");
  gate.top_k = static_cast<int>(fields.Integer("topK", 1, 65536));
  gate.scoring = ReadEnum<GateScoring>(fields, "scoring",
                                       {{"GATE_SCORING_SOFTMAX_ALL", GateScoring::kSoftmaxAll},
                                        {"GATE_SCORING_SOFTMAX_TOPK", GateScoring::kSoftmaxTopK},
                                        {"GATE_SCORING_SIGMOID", GateScoring::kSigmoid},
                                        {"GATE_SCORING_SQRT_SOFTPLUS", GateScoring::kSqrtSoftplus},
                                        {"GATE_SCORING_SPARSEMIXER", GateScoring::kSparsemixer}});
  gate.weight_multiplier = fields.Float("weightMultiplier");
  gate.renormalise = fields.Boolean("renormalise");
  gate.smallest_sum = fields.Float("smallestSum");
  gate.jitter = fields.Float("jitter");
  gate.softcap = fields.Float("softcap");
  gate.scales = ReadOptionalTensor(fields, "scales");
  if (fields.Has("norm")) gate.norm = ReadNorm(fields, "norm");
  gate.correction = ReadOptionalTensor(fields, "correction");
  gate.table = ReadOptionalTensor(fields, "table");
  if (fields.Has("groups")) {
    const Fields groups = fields.Object("groups");
    gate.groups = {static_cast<int>(groups.Integer("count", 1, 65536)),
                   static_cast<int>(groups.Integer("kept", 1, 65536)), groups.Boolean("byTwo")};
  }
  return gate;
}

std::vector<int64_t> ReadSafeIntegers(const Fields& fields, const char* key) {
  return fields.Map(key, [](Napi::Value value, const std::string& path) {
    return ReadInteger(value, path, 0, kMaxSafeInteger);
  });
}

// Spreads the runs over their experts.
TensorPlaces ReadPlaces(Napi::Value value, const std::string& path, SourceType type) {
  const Fields fields(value, path);
  const std::vector<int64_t> files = ReadSafeIntegers(fields, "runFiles");
  const std::vector<int64_t> lengths = ReadSafeIntegers(fields, "runLengths");
  const std::vector<int64_t> offsets = ReadSafeIntegers(fields, "runOffsets");
  const std::vector<int64_t> steps = ReadSafeIntegers(fields, "steps");
  const int64_t unit = fields.Integer("unit", 0, kMaxSafeInteger);
  const std::vector<SourceType> types =
      fields.Map("runDtypes",
                 [](Napi::Value name, const std::string& at) { return ReadSourceType(name, at); });
  TensorPlaces places;
  for (size_t run = 0; run < lengths.size(); ++run) {
    for (int64_t i = 0; i < lengths[run] && places.files.size() < steps.size(); ++i) {
      const size_t expert = places.files.size();
      int64_t offset = 0;
      if (run >= files.size() || run >= offsets.size() || (!types.empty() && run >= types.size()) ||
          files[run] > kMaxUint32 || __builtin_mul_overflow(unit, steps[expert], &offset) ||
          __builtin_add_overflow(offset, offsets[run], &offset)) {
        Refuse(path, "a file, an offset and a type for each run, within 2^32 files and 2^63 bytes",
               value);
      }
      places.files.push_back(static_cast<uint32_t>(files[run]));
      places.offsets.push_back(static_cast<uint64_t>(offset));
      places.types.push_back(types.empty() ? type : types[run]);
    }
  }
  return places;
}

ExpertTable ReadExperts(const Fields& fields) {
  ExpertTable table;
  table.count = static_cast<int>(fields.Integer("count", 0, kMaxInt32));
  table.expert = ReadFfn(fields.Object("expert"));
  const std::vector<TensorRef*> tensors = TensorsOf(table.expert);
  const std::vector<Napi::Value> places = fields.Array("places");
  for (size_t i = 0; i < tensors.size() && i < places.size(); ++i)
    table.places.push_back(ReadPlaces(places[i], fields.PathOf("places"), tensors[i]->type));
  return table;
}

MoeSpec ReadMoe(const Fields& fields) {
  MoeSpec moe{ReadGate(fields.Object("gate")), ReadExperts(fields.Object("experts")),
              fields.Boolean("weightsOnInput") ? ExpertWeights::kOnInput : ExpertWeights::kOnOutput,
              static_cast<int>(fields.Integer("identityExperts", 0, 65536))};
  if (fields.Has("input")) moe.input = ReadLinear(fields, "input");
  if (fields.Has("output")) moe.output = ReadLinear(fields, "output");
  return moe;
}

TokenInputSpec ReadTokenInput(const Fields& fields) {
  return {ReadMatrix(fields, "embedding"),  fields.Float("embeddingMultiplier"),
          ReadLinear(fields, "projection"), ReadNorm(fields, "norm"),
          ReadLinear(fields, "gate"),       ReadLinear(fields, "output")};
}

StateSpec ReadState(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  return {static_cast<int>(fields.Integer("heads", 1, 65536)),
          fields.Integer("elements", 1, kMaxInt32)};
}

PagedCacheSpec ReadPagedCache(const Fields& paged) {
  return {static_cast<int>(paged.Integer("heads", 1, 65536)),
          static_cast<int>(paged.Integer("keyWidth", 1, 65536)),
          static_cast<int>(paged.Integer("valueWidth", 1, 65536)),
          paged.Boolean("valuesInsideKeys"),
          paged.Boolean("replicated"),
          static_cast<int>(paged.Integer("indexWidth", 0, 65536))};
}

decltype(OperatorSpec::cache) ReadCache(const Fields& fields) {
  if (fields.Has("paged")) return ReadPagedCache(fields.Object("paged"));
  if (fields.Has("fixed")) return FixedCacheSpec{fields.Object("fixed").Map("states", ReadState)};
  if (fields.Has("compressed")) {
    const Fields compressed = fields.Object("compressed");
    return CompressedCacheSpec{static_cast<int>(compressed.Integer("keyWidth", 1, 65536)),
                               static_cast<int>(compressed.Integer("span", 0, kMaxInt32)),
                               static_cast<int>(compressed.Integer("indexWidth", 0, 65536)),
                               compressed.Integer("stateElements", 0, kMaxInt32)};
  }
  throw Error(ErrorCode::kUnsupported, fields.path() + ": the engine does not know this cache");
}

}  // namespace

OperatorSpec ReadOperator(Napi::Value value, const std::string& path) {
  const Fields fields(value, path);
  OperatorSpec op;
  if (fields.Has("gqa")) {
    op.kind = ReadGqa(fields.Object("gqa"));
  } else if (fields.Has("mla")) {
    op.kind = ReadMla(fields.Object("mla"));
  } else if (fields.Has("dense")) {
    op.kind = ReadDense(fields.Object("dense"));
  } else if (fields.Has("moe")) {
    op.kind = ReadMoe(fields.Object("moe"));
  } else if (fields.Has("linearAttention")) {
    op.kind = ReadLinearAttention(fields.Object("linearAttention"));
  } else if (fields.Has("shortConvolution")) {
    op.kind = ReadShortConvolution(fields.Object("shortConvolution"));
  } else if (fields.Has("selectiveScan")) {
    op.kind = ReadSelectiveScan(fields.Object("selectiveScan"));
  } else if (fields.Has("compressedAttention")) {
    op.kind = ReadCompressedAttention(fields.Object("compressedAttention"));
  } else if (fields.Has("tokenInput")) {
    op.kind = ReadTokenInput(fields.Object("tokenInput"));
  } else if (fields.Has("runningSum")) {
    op.kind = ReadRunningSum(fields.Object("runningSum"));
  } else {
    throw Error(ErrorCode::kUnsupported, path + ": the engine does not know this operator");
  }
  if (fields.Has("cache")) op.cache = ReadCache(fields.Object("cache"));
  return op;
}

}  // namespace conclave::binding
