#include "conclave/engine/operators/recurrent/selective_scan.h"

#include <array>
#include <cmath>
#include <limits>

namespace conclave {

SelectiveScanOperator::SelectiveScanOperator(TensorLoader& loader, const SelectiveScanSpec& spec,
                                             const FixedCacheSpec& states,
                                             const CacheOptions& cache, bool output_bias)
    : step_norm_(loader, spec.step_norm, spec.step_down.out()),
      write_norm_(loader, spec.write_norm, spec.states()),
      read_norm_(loader, spec.read_norm, spec.states()),
      states_(loader.backend(), states, Share{}, cache) {
  const Range columns{0, spec.width()};
  const auto matrix = [&](const LinearSpec& linear) {
    return loader.Matrix(linear.weight, Whole(linear.weight));
  };
  value_ = matrix(spec.value);
  gate_ = matrix(spec.gate);
  value_bias_ = loader.Bias(spec.value, columns);
  gate_bias_ = loader.Bias(spec.gate, columns);
  convolution_ = Convolution(loader, spec.convolution, columns);
  step_down_ = matrix(spec.step_down);
  write_ = matrix(spec.write);
  read_ = matrix(spec.read);
  step_ = matrix(spec.step);
  step_bias_ = loader.Bias(spec.step, columns);
  std::vector<float> rates = loader.Floats(spec.decay_rate, columns);
  for (float& rate : rates) rate = -std::exp(rate);
  decay_rate_ = loader.backend().Store(std::move(rates));
  skip_ = loader.Vector(spec.skip);
  output_ = matrix(spec.output);
  if (output_bias) output_bias_ = loader.Bias(spec.output, {0, spec.output.out()});
}

void SelectiveScanOperator::Forward(Backend& backend, MixerStep& step, const Tensor& input,
                                    const Tensor& output) {
  const StepRows& where = step.where;
  Arena& arena = backend.scratch();
  const Arena::Scope scope(arena);
  states_.Enter(backend, where.where());
  const Tensor projected = arena.Rows(input.rows, value_->rows());
  const Tensor gates = arena.Rows(input.rows, projected.width);
  const Tensor x = arena.Rows(input.rows, projected.width);
  backend.Linear(input, std::array<LinearOutput, 2>{{{value_.get(), value_bias_.get(), projected},
                                                     {gate_.get(), gate_bias_.get(), gates}}});
  backend.Convolve(projected, *convolution_.taps, convolution_.bias.get(), true, where,
                   states_.store(0), x);
  const Tensor ranks = arena.Rows(input.rows, step_down_->rows());
  const Tensor write = arena.Rows(input.rows, write_->rows());
  const Tensor read = arena.Rows(input.rows, read_->rows());
  backend.Linear(x, std::array<LinearOutput, 3>{{{step_down_.get(), nullptr, ranks},
                                                 {write_.get(), nullptr, write},
                                                 {read_.get(), nullptr, read}}});
  step_norm_.Forward(backend, ranks, ranks);
  write_norm_.Forward(backend, write, write);
  read_norm_.Forward(backend, read, read);
  const Tensor steps = projected;
  const LinearOutput stepped{step_.get(), nullptr, steps};
  backend.Linear(ranks, {&stepped, 1});
  backend.Softplus(*step_bias_, 0, std::numeric_limits<float>::max(), steps);
  const Tensor y = arena.Rows(input.rows, x.width);
  backend.SelectiveScan(where, x, steps, *decay_rate_, write, read, states_.store(1), y);
  backend.ScaleColumns(*skip_, x);
  backend.AddScaled(x, 1, y);
  backend.ScaleBySilu(gates, y);
  const LinearOutput result{output_.get(), output_bias_.get(), output};
  backend.Linear(y, {&result, 1});
}

uint64_t SelectiveScanOperator::weight_bytes() const {
  uint64_t bytes =
      convolution_.bytes() + step_norm_.bytes() + write_norm_.bytes() + read_norm_.bytes();
  for (const MatrixPtr* matrix : {&value_, &gate_, &step_down_, &write_, &read_, &step_, &output_})
    bytes += (*matrix)->bytes();
  for (const VectorPtr* vector :
       {&value_bias_, &gate_bias_, &output_bias_, &step_bias_, &decay_rate_, &skip_})
    bytes += BytesOf(*vector);
  return bytes;
}

uint64_t SelectiveScanOperator::SourceBytes(const SelectiveScanSpec& spec) {
  uint64_t bytes = spec.convolution.bytes() + spec.decay_rate.bytes() + spec.skip.bytes();
  for (const NormSpec* norm : {&spec.step_norm, &spec.write_norm, &spec.read_norm})
    bytes += norm->bytes();
  for (const LinearSpec* linear : {&spec.value, &spec.gate, &spec.step_down, &spec.write,
                                   &spec.read, &spec.step, &spec.output})
    bytes += conclave::SourceBytes(*linear);
  return bytes;
}

}  // namespace conclave
