#include "conclave/engine/operators/recurrent/running_sum.h"

namespace conclave {

RunningSumOperator::RunningSumOperator(TensorLoader& loader, const RunningSumSpec& spec,
                                       const FixedCacheSpec& states, const Share& share,
                                       const CacheOptions& cache, bool output_bias)
    : states_(loader.backend(), states, share, cache) {
  const Range heads = share.Heads(spec.heads);
  const Range width{heads.begin * spec.head_dim, heads.end * spec.head_dim};
  const Range hidden{0, spec.value.in()};
  value_ = loader.Matrix(spec.value.weight, {width, hidden});
  output_ = loader.Matrix(spec.output.weight, {hidden, width});
  value_bias_ = loader.Bias(spec.value, width);
  if (output_bias) output_bias_ = loader.Bias(spec.output, hidden);
}

void RunningSumOperator::Forward(Backend& backend, MixerStep& step, const Tensor& input,
                                 const Tensor& output) {
  const StepRows& where = step.where;
  const Arena::Scope scope(backend.scratch());
  const Tensor rows = backend.scratch().Rows(input.rows, value_->rows());
  const LinearOutput values{value_.get(), value_bias_.get(), rows};
  backend.Linear(input, {&values, 1});
  states_.Enter(backend, where.where());
  backend.RunningSum(rows, where, states_.store(0), rows);
  const LinearOutput projected{output_.get(), output_bias_.get(), output};
  backend.Linear(rows, {&projected, 1});
}

uint64_t RunningSumOperator::weight_bytes() const {
  return value_->bytes() + output_->bytes() + BytesOf(value_bias_) + BytesOf(output_bias_);
}

uint64_t RunningSumOperator::SourceBytes(const RunningSumSpec& spec) {
  return conclave::SourceBytes(spec.value) + conclave::SourceBytes(spec.output);
}

}  // namespace conclave
