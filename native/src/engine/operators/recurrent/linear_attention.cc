#include "conclave/engine/operators/recurrent/linear_attention.h"

#include <array>
#include <cmath>
#include <vector>

namespace conclave {
namespace {

// Added to a key's or query's square before the root of it is its length.
constexpr float kLengthEpsilon = 1e-6f;

// The heads of a share: it has whole key heads, each with its value heads.
LinearAttentionParams ShareOf(const LinearAttentionSpec& spec, const Share& share) {
  LinearAttentionParams params = spec.heads;
  params.key_heads = static_cast<int>(share.Heads(spec.heads.key_heads).size());
  params.value_heads = params.key_heads * spec.value_heads_per_key();
  return params;
}

Range Times(Range range, int64_t factor) { return {range.begin * factor, range.end * factor}; }

std::vector<float> Repeated(const std::vector<float>& values, int64_t times) {
  std::vector<float> repeated;
  for (const float value : values)
    repeated.insert(repeated.end(), static_cast<size_t>(times), value);
  return repeated;
}

}  // namespace

LinearAttentionOperator::LinearAttentionOperator(TensorLoader& loader,
                                                 const LinearAttentionSpec& spec,
                                                 const FixedCacheSpec& states, const Share& share,
                                                 const CacheOptions& cache, bool output_bias)
    : params_(ShareOf(spec, share)),
      scale_(spec.scale),
      write_gate_(spec.write_gate),
      decay_bound_(spec.decay_bound),
      step_min_(spec.step_min),
      step_max_(spec.step_max),
      gate_function_(spec.gate_function),
      norm_after_gate_(spec.norm_after_gate),
      norm_width_(int64_t{spec.norm_heads} * spec.heads.value_dim),
      norm_epsilon_(spec.norm.epsilon),
      states_(loader.backend(), states, share, cache) {
  Backend& backend = loader.backend();
  const Range key_heads = share.Heads(spec.heads.key_heads);
  const Range heads = Times(key_heads, spec.value_heads_per_key());
  const Range keys = Times(key_heads, spec.heads.key_dim);
  const Range values = Times(heads, spec.heads.value_dim);
  const Range hidden{0, spec.q.in()};
  q_ = LoadStream(loader, spec.q, spec.q_convolution, keys);
  k_ = LoadStream(loader, spec.k, spec.k_convolution, keys);
  v_ = LoadStream(loader, spec.v, spec.v_convolution, values);
  if (spec.normalise) {
    const auto dims = static_cast<size_t>(spec.heads.key_dim);
    const float part = 1 / std::sqrt(static_cast<float>(dims));
    q_lengths_ = backend.Store(std::vector<float>(dims, spec.scale * part));
    k_lengths_ = backend.Store(std::vector<float>(dims, part));
  }
  write_ = loader.Matrix(spec.write.weight, {heads, hidden}, WeightsFormat::kF32);
  write_bias_ = loader.Bias(spec.write, heads);
  LoadDecay(loader, spec, heads);
  if (spec.skip)
    skip_ = backend.Store(Repeated(loader.Floats(*spec.skip, heads), spec.heads.value_dim));
  if (spec.gate_down)
    gate_down_ = loader.Matrix(spec.gate_down->weight, Whole(spec.gate_down->weight));
  gate_ = loader.Matrix(spec.gate.weight, {values, {0, spec.gate.in()}});
  gate_bias_ = loader.Bias(spec.gate, values);
  if (spec.norm.weight && spec.norm.weight->elements() != norm_width_) {
    norm_weight_ = loader.NormWeight(spec.norm, values);
    norm_parts_weight_ = backend.Store(std::vector<float>(static_cast<size_t>(norm_width_), 1.0f));
  } else {
    norm_parts_weight_ = loader.NormWeight(spec.norm, {0, norm_width_});
  }
  output_ = loader.Matrix(spec.output.weight, {hidden, values});
  if (output_bias) output_bias_ = loader.Bias(spec.output, hidden);
}

void LinearAttentionOperator::LoadDecay(TensorLoader& loader, const LinearAttentionSpec& spec,
                                        Range heads) {
  const int64_t each = spec.decays_per_head();
  const Range decays = Times(heads, each);
  if (spec.decay_down)
    decay_down_ = loader.Matrix(spec.decay_down->weight, Whole(spec.decay_down->weight));
  if (spec.decay) {
    // Those of heads are few, and kept as they are.
    const WeightsFormat format = each == 1 ? WeightsFormat::kF32 : loader.format();
    decay_ = loader.Matrix(spec.decay->weight, {decays, {0, spec.decay->in()}}, format);
    decay_bias_ = loader.Bias(*spec.decay, decays);
  }
  step_bias_ = loader.Vector(spec.step_bias, decays);
  std::vector<float> rates = Repeated(loader.Floats(spec.decay_rate, heads), each);
  for (float& rate : rates) rate = decay_bound_ != 0 ? std::exp(rate) : -std::exp(rate);
  if (decay_bound_ != 0)
    bounds_ = loader.backend().Store(std::vector<float>(rates.size(), decay_bound_));
  decay_rate_ = loader.backend().Store(std::move(rates));
}

LinearAttentionOperator::Stream LinearAttentionOperator::LoadStream(
    TensorLoader& loader, const LinearSpec& linear, const ConvolutionSpec& convolution,
    Range part) {
  return {.weight = loader.Matrix(linear.weight, {part, {0, linear.in()}}),
          .bias = loader.Bias(linear, part),
          .convolution = Convolution(loader, convolution, part)};
}

void LinearAttentionOperator::Forward(Backend& backend, MixerStep& step, const Tensor& input,
                                      const Tensor& output) {
  const StepRows& where = step.where;
  Arena& arena = backend.scratch();
  const Arena::Scope scope(arena);
  states_.Enter(backend, where.where());
  const std::array<const Stream*, 3> streams{&q_, &k_, &v_};
  std::array<Tensor, 3> projected, rows;
  std::array<LinearOutput, 3> linears;
  for (size_t i = 0; i < streams.size(); ++i) {
    projected[i] = arena.Rows(input.rows, streams[i]->weight->rows());
    rows[i] = arena.Rows(input.rows, projected[i].width);
    linears[i] = {streams[i]->weight.get(), streams[i]->bias.get(), projected[i]};
  }
  backend.Linear(input, linears);
  for (size_t i = 0; i < streams.size(); ++i) {
    const Convolution& convolution = streams[i]->convolution;
    backend.Convolve(projected[i], *convolution.taps, convolution.bias.get(), true, where,
                     states_.store(i), rows[i]);
  }
  const auto& [q, k, v] = rows;
  Normalise(backend, q_lengths_, q);
  Normalise(backend, k_lengths_, k);
  if (!q_lengths_ && scale_ != 1) backend.Scale(q, scale_);
  const Tensor write = arena.Rows(input.rows, params_.value_heads);
  const Tensor decay = arena.Rows(input.rows, decay_ ? decay_->rows() : params_.value_heads);
  Steps(backend, input, write, decay);
  const Tensor y = projected[2];
  backend.LinearAttend(params_, where, q, k, v, decay, write, states_.store(3), y);
  if (skip_) {
    backend.ScaleColumns(*skip_, v);
    backend.AddScaled(v, 1, y);
  }
  const LinearOutput gates{gate_.get(), gate_bias_.get(), v};
  backend.Linear(Reduced(backend, gate_down_, input), {&gates, 1});
  GateAndNormalise(backend, v, y);
  const LinearOutput result{output_.get(), output_bias_.get(), output};
  backend.Linear(y, {&result, 1});
}

void LinearAttentionOperator::Normalise(Backend& backend, const VectorPtr& lengths,
                                        const Tensor& x) const {
  if (!lengths) return;
  // The mean of n squares and epsilon / n, times n, is what the length is the root of.
  const Tensor heads = x.Reshape(params_.key_dim);
  const float epsilon = kLengthEpsilon / static_cast<float>(params_.key_dim);
  backend.RmsNorm(heads, *lengths, epsilon, heads);
}

Tensor LinearAttentionOperator::Reduced(Backend& backend, const MatrixPtr& down,
                                        const Tensor& input) {
  if (!down) return input;
  const LinearOutput reduced{down.get(), nullptr, backend.scratch().Rows(input.rows, down->rows())};
  backend.Linear(input, {&reduced, 1});
  return reduced.output;
}

void LinearAttentionOperator::Steps(Backend& backend, const Tensor& input, const Tensor& write,
                                    const Tensor& decay) const {
  const LinearOutput written{write_.get(), write_bias_.get(), write};
  backend.Linear(input, {&written, 1});
  if (write_gate_ == WriteGate::kSigmoid) {
    backend.Sigmoid(write);
  } else {
    backend.Softplus(*step_bias_, step_min_, step_max_, write);
  }
  if (!decay_) return backend.Decay(write, *decay_rate_, decay);
  const bool bounded = decay_bound_ != 0;
  const LinearOutput left{decay_.get(), bounded ? step_bias_.get() : decay_bias_.get(), decay};
  backend.Linear(Reduced(backend, decay_down_, input), {&left, 1});
  if (bounded) {
    backend.ScaleColumns(*decay_rate_, decay);
    backend.Sigmoid(decay);
    return backend.Decay(decay, *bounds_, decay);
  }
  backend.Softplus(*step_bias_, step_min_, step_max_, decay);
  backend.Decay(decay, *decay_rate_, decay);
}

void LinearAttentionOperator::GateAndNormalise(Backend& backend, const Tensor& gates,
                                               const Tensor& y) const {
  const auto gate = [&] {
    if (gate_function_ == GateFunction::kSigmoid) return backend.ScaleBySigmoid(gates, y);
    backend.ScaleBySilu(gates, y);
  };
  if (norm_after_gate_) gate();
  const Tensor parts = y.Reshape(norm_width_);
  backend.RmsNorm(parts, *norm_parts_weight_, norm_epsilon_, parts);
  if (norm_weight_) backend.ScaleColumns(*norm_weight_, y);
  if (!norm_after_gate_) gate();
}

uint64_t LinearAttentionOperator::weight_bytes() const {
  uint64_t bytes = write_->bytes() + gate_->bytes() + output_->bytes();
  for (const MatrixPtr* matrix : {&decay_, &decay_down_, &gate_down_})
    bytes += *matrix ? (*matrix)->bytes() : 0;
  for (const Stream* stream : {&q_, &k_, &v_}) {
    bytes += stream->weight->bytes() + BytesOf(stream->bias) + stream->convolution.bytes();
  }
  for (const VectorPtr* vector :
       {&q_lengths_, &k_lengths_, &step_bias_, &decay_rate_, &bounds_, &skip_, &write_bias_,
        &decay_bias_, &gate_bias_, &norm_weight_, &norm_parts_weight_, &output_bias_})
    bytes += BytesOf(*vector);
  return bytes;
}

uint64_t LinearAttentionOperator::SourceBytes(const LinearAttentionSpec& spec) {
  uint64_t bytes = spec.step_bias.bytes() + spec.decay_rate.bytes() + spec.norm.bytes();
  for (const LinearSpec* linear :
       {&spec.q, &spec.k, &spec.v, &spec.write, &spec.gate, &spec.output})
    bytes += conclave::SourceBytes(*linear);
  for (const ConvolutionSpec* part :
       {&spec.q_convolution, &spec.k_convolution, &spec.v_convolution})
    bytes += part->bytes();
  for (const auto* linear : {&spec.decay, &spec.decay_down, &spec.gate_down})
    bytes += *linear ? conclave::SourceBytes(**linear) : 0;
  return bytes + (spec.skip ? spec.skip->bytes() : 0);
}

}  // namespace conclave
