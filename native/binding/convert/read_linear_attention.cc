#include "binding/convert/read_linear_attention.h"

#include "binding/convert/read_matrix.h"

namespace conclave::binding {
namespace {

ConvolutionSpec ReadConvolution(const Fields& parent, const char* key) {
  const Fields fields = parent.Object(key);
  return {ReadMatrix(fields, "taps"), ReadOptionalTensor(fields, "bias")};
}

}  // namespace

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
  if (fields.Has("decay")) spec.decay = ReadLinear(fields, "decay");
  spec.step_bias = ReadTensor(fields, "stepBias");
  spec.decay_rate = ReadTensor(fields, "decayRate");
  spec.step_min = fields.Float("stepMin");
  spec.step_max = fields.Float("stepMax");
  spec.skip = ReadOptionalTensor(fields, "skip");
  spec.gate = ReadLinear(fields, "gate");
  spec.norm_after_gate = fields.Boolean("normAfterGate");
  spec.norm = ReadNorm(fields, "norm");
  spec.norm_heads = count("normHeads");
  spec.output = ReadLinear(fields, "output");
  return spec;
}

}  // namespace conclave::binding
