#include "binding/convert/read_mixers.h"

#include "binding/convert/read_matrix.h"

namespace conclave::binding {
namespace {

ConvolutionSpec ReadConvolution(const Fields& parent, const char* key) {
  const Fields fields = parent.Object(key);
  return {ReadMatrix(fields, "taps"), ReadOptionalTensor(fields, "bias")};
}

}  // namespace

std::optional<IndexerSpec> ReadIndexer(const Fields& parent) {
  if (!parent.Has("indexer")) return std::nullopt;
  const Fields fields = parent.Object("indexer");
  const auto count = [&](const char* key, int least) {
    return static_cast<int>(fields.Integer(key, least, kMaxInt32));
  };
  IndexerSpec indexer;
  indexer.params = {.heads = count("heads", 1),
                    .head_dim = count("headDim", 1),
                    .kept = count("kept", 1),
                    .block_size = count("blockSize", 1),
                    .latest = count("latest", 0)};
  if (fields.Has("rope")) indexer.rope = count("rope", 0);
  indexer.q = ReadLinear(fields, "q");
  indexer.k = ReadLinear(fields, "k");
  if (fields.Has("qNorm")) indexer.q_norm = ReadNorm(fields, "qNorm");
  indexer.k_norm = ReadNorm(fields, "kNorm");
  if (fields.Has("weights")) indexer.weights = ReadLinear(fields, "weights");
  return indexer;
}

GateFunction ReadGateFunction(const Fields& fields, GateFunction otherwise) {
  return ReadEnum<GateFunction>(fields, "gateFunction",
                                {{"GATE_FUNCTION_UNSPECIFIED", otherwise},
                                 {"GATE_FUNCTION_SIGMOID", GateFunction::kSigmoid},
                                 {"GATE_FUNCTION_SILU", GateFunction::kSilu},
                                 {"GATE_FUNCTION_SOFTPLUS", GateFunction::kSoftplus}});
}

LinearAttentionSpec ReadLinearAttention(const Fields& fields) {
  const auto count = [&](const char* key) {
    return static_cast<int>(fields.Integer(key, 1, 65536));
  };
  LinearAttentionSpec spec;
  spec.heads = {.key_heads = count("keyHeads"),
                .value_heads = count("valueHeads"),
                .key_dim = count("keyDim"),
                .value_dim = count("valueDim"),
                .delta = fields.Boolean("delta")};
  spec.q = ReadLinear(fields, "q");
  spec.k = ReadLinear(fields, "k");
  spec.v = ReadLinear(fields, "v");
  spec.q_convolution = ReadConvolution(fields, "qConvolution");
  spec.k_convolution = ReadConvolution(fields, "kConvolution");
  spec.v_convolution = ReadConvolution(fields, "vConvolution");
  spec.normalise = fields.Boolean("normalise");
  spec.scale = fields.Float("scale");
  spec.write = ReadLinear(fields, "write");
  spec.write_gate = ReadEnum<WriteGate>(
      fields, "writeGate",
      {{"WRITE_GATE_SIGMOID", WriteGate::kSigmoid}, {"WRITE_GATE_SOFTPLUS", WriteGate::kSoftplus}});
  if (fields.Has("decayDown")) spec.decay_down = ReadLinear(fields, "decayDown");
  if (fields.Has("decay")) spec.decay = ReadLinear(fields, "decay");
  spec.decay_bound = fields.Float("decayBound");
  spec.step_bias = ReadTensor(fields, "stepBias");
  spec.decay_rate = ReadTensor(fields, "decayRate");
  spec.step_min = fields.Float("stepMin");
  spec.step_max = fields.Float("stepMax");
  spec.skip = ReadOptionalTensor(fields, "skip");
  if (fields.Has("gateDown")) spec.gate_down = ReadLinear(fields, "gateDown");
  spec.gate = ReadLinear(fields, "gate");
  spec.gate_function = ReadGateFunction(fields, GateFunction::kSilu);
  spec.norm_after_gate = fields.Boolean("normAfterGate");
  spec.norm = ReadNorm(fields, "norm");
  spec.norm_heads = count("normHeads");
  spec.output = ReadLinear(fields, "output");
  return spec;
}

ShortConvolutionSpec ReadShortConvolution(const Fields& fields) {
  return {ReadLinear(fields, "inputGate"), ReadLinear(fields, "outputGate"),
          ReadLinear(fields, "value"), ReadConvolution(fields, "convolution"),
          ReadLinear(fields, "output")};
}

SelectiveScanSpec ReadSelectiveScan(const Fields& fields) {
  return {.value = ReadLinear(fields, "value"),
          .gate = ReadLinear(fields, "gate"),
          .convolution = ReadConvolution(fields, "convolution"),
          .step_down = ReadLinear(fields, "stepDown"),
          .write = ReadLinear(fields, "write"),
          .read = ReadLinear(fields, "read"),
          .step_norm = ReadNorm(fields, "stepNorm"),
          .write_norm = ReadNorm(fields, "writeNorm"),
          .read_norm = ReadNorm(fields, "readNorm"),
          .step = ReadLinear(fields, "step"),
          .decay_rate = ReadMatrix(fields, "decayRate"),
          .skip = ReadTensor(fields, "skip"),
          .output = ReadLinear(fields, "output")};
}

namespace {

CompressorSpec ReadCompressor(const Fields& fields) {
  CompressorSpec spec;
  spec.fold = {.span = static_cast<int>(fields.Integer("span", 1, kMaxInt32)),
               .overlapping = fields.Boolean("overlapping")};
  spec.value = ReadLinear(fields, "value");
  spec.gate = ReadLinear(fields, "gate");
  spec.bias = ReadMatrix(fields, "bias");
  spec.norm = ReadNorm(fields, "norm");
  return spec;
}

EntryIndexerSpec ReadEntryIndexer(const Fields& fields) {
  const auto count = [&](const char* key) {
    return static_cast<int>(fields.Integer(key, 1, kMaxInt32));
  };
  EntryIndexerSpec spec;
  spec.q = ReadLinear(fields, "q");
  spec.weights = ReadLinear(fields, "weights");
  spec.keys = ReadCompressor(fields.Object("keys"));
  spec.params = {.heads = count("heads"),
                 .head_dim = count("headDim"),
                 .kept = count("kept"),
                 .span = spec.keys.fold.span};
  return spec;
}

}  // namespace

CompressedAttentionSpec ReadCompressedAttention(const Fields& fields) {
  const auto count = [&](const char* key) {
    return static_cast<int>(fields.Integer(key, 1, 65536));
  };
  CompressedAttentionSpec spec;
  const int head_dim = count("headDim");
  spec.heads = {.heads = count("heads"),
                .kv_heads = 1,
                .head_dim = head_dim,
                .values_inside = head_dim,
                .scale = fields.Float("scale")};
  spec.window = static_cast<int>(fields.Integer("window", 1, kMaxInt32));
  spec.rope = static_cast<int>(fields.Integer("rope", 0, kMaxInt32));
  spec.q_down = ReadLinear(fields, "qDown");
  spec.q_down_norm = ReadNorm(fields, "qDownNorm");
  spec.q = ReadLinear(fields, "q");
  spec.q_norm = ReadNorm(fields, "qNorm");
  spec.key = ReadLinear(fields, "key");
  spec.key_norm = ReadNorm(fields, "keyNorm");
  spec.sinks = ReadOptionalTensor(fields, "sinks");
  spec.groups = count("groups");
  spec.reduce = ReadLinear(fields, "reduce");
  spec.output = ReadLinear(fields, "output");
  if (fields.Has("compressor")) spec.compressor = ReadCompressor(fields.Object("compressor"));
  if (fields.Has("indexer")) spec.indexer = ReadEntryIndexer(fields.Object("indexer"));
  return spec;
}

}  // namespace conclave::binding
