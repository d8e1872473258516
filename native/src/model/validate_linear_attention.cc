#include "conclave/base/message.h"
#include "validator.h"

namespace conclave {

FixedCacheSpec CacheOf(const LinearAttentionSpec& spec) {
  const LinearAttentionParams& heads = spec.heads;
  const int64_t keys = heads.key_dim;
  const int64_t values = int64_t{spec.value_heads_per_key()} * heads.value_dim;
  const auto state = [&](int64_t elements) { return StateSpec{heads.key_heads, elements}; };
  return {{state((spec.q_convolution.count() - 1) * keys),
           state((spec.k_convolution.count() - 1) * keys),
           state((spec.v_convolution.count() - 1) * values), state(keys * values)}};
}

void OperatorValidator::CheckLinearAttention(const std::string& path,
                                             const LinearAttentionSpec& spec) {
  const LinearAttentionParams& heads = spec.heads;
  if (heads.key_heads < 1 || heads.value_heads < 1 || heads.value_heads % heads.key_heads != 0) {
    Fail(ErrorCode::kInvalidArgument, path, ".valueHeads: expected a multiple of keyHeads ",
         heads.key_heads, ", got ", heads.value_heads);
  }
  if (heads.key_dim < 1 || heads.value_dim < 1) {
    Fail(ErrorCode::kInvalidArgument, path, ".keyDim, valueDim: expected at least 1, got ",
         heads.key_dim, ", ", heads.value_dim);
  }
  const int64_t hidden = spec_.hidden_size;
  Linear(path + ".q", spec.q, spec.key_width(), hidden);
  Linear(path + ".k", spec.k, spec.key_width(), hidden);
  Linear(path + ".v", spec.v, spec.value_width(), hidden);
  CheckConvolution(path + ".qConvolution", spec.q_convolution, spec.key_width());
  CheckConvolution(path + ".kConvolution", spec.k_convolution, spec.key_width());
  CheckConvolution(path + ".vConvolution", spec.v_convolution, spec.value_width());
  CheckFinite(path + ".scale", spec.scale);
  Linear(path + ".write", spec.write, heads.value_heads, hidden);
  const int64_t decays = heads.value_heads * spec.decays_per_head();
  int64_t decay_input = hidden;
  if (spec.decay_down) {
    decay_input = spec.decay_down->out();
    Linear(path + ".decayDown", *spec.decay_down, decay_input, hidden);
  }
  if (spec.decay) Linear(path + ".decay", *spec.decay, decays, decay_input);
  CheckFinite(path + ".decayBound", spec.decay_bound);
  if (!spec.decay && spec.write_gate != WriteGate::kSoftplus)
    Fail(ErrorCode::kInvalidArgument, path, ".decay: needed where writeGate is not softplus");
  Tensor(path + ".stepBias", spec.step_bias, {decays});
  Tensor(path + ".decayRate", spec.decay_rate, {heads.value_heads});
  if (spec.skip) Tensor(path + ".skip", *spec.skip, {heads.value_heads});
  CheckFromZero(path + ".stepMin", spec.step_min);
  CheckFromZero(path + ".stepMax", spec.step_max);
  int64_t gate_input = hidden;
  if (spec.gate_down) {
    gate_input = spec.gate_down->out();
    Linear(path + ".gateDown", *spec.gate_down, gate_input, hidden);
  }
  Linear(path + ".gate", spec.gate, spec.value_width(), gate_input);
  if (spec.gate_function == GateFunction::kSoftplus)
    Fail(ErrorCode::kUnsupported, path, ".gateFunction: expected SILU or SIGMOID");
  if (spec.norm_heads < 1 || heads.value_heads % spec.norm_heads != 0) {
    Fail(ErrorCode::kInvalidArgument, path, ".normHeads: expected a divisor of valueHeads ",
         heads.value_heads, ", got ", spec.norm_heads);
  }
  if (spec.norm.kind != NormKind::kRms)
    Fail(ErrorCode::kUnsupported, path, ".norm: expected one that divides by the mean square");
  const int64_t norm_width = int64_t{spec.norm_heads} * heads.value_dim;
  const bool shared = !spec.norm.weight || spec.norm.weight->elements() == norm_width;
  Norm(path + ".norm", spec.norm, shared ? norm_width : spec.value_width());
  Linear(path + ".output", spec.output, hidden, spec.value_width());
}

void OperatorValidator::CheckConvolution(const std::string& path, const ConvolutionSpec& spec,
                                         int64_t width) {
  constexpr int64_t kMaxTaps = 64;
  const int64_t count = spec.taps.data.shape.empty() ? 0 : spec.count();
  if (count < 2 || count > kMaxTaps) {
    Fail(ErrorCode::kInvalidArgument, path, ".taps: expected 2 to ", kMaxTaps, " columns, got ",
         count);
  }
  Matrix(path + ".taps", spec.taps, width, count);
  if (spec.bias) Tensor(path + ".bias", *spec.bias, {width});
}

}  // namespace conclave
