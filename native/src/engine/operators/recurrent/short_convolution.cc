#include "conclave/engine/operators/recurrent/short_convolution.h"

#include <array>

namespace conclave {

ShortConvolutionOperator::ShortConvolutionOperator(TensorLoader& loader,
                                                   const ShortConvolutionSpec& spec,
                                                   const FixedCacheSpec& states, const Share& share,
                                                   const CacheOptions& cache, bool output_bias)
    : states_(loader.backend(), states, share, cache) {
  const Range columns = share.Heads(static_cast<int>(spec.width()));
  const Range hidden{0, spec.value.in()};
  const Rectangle part{columns, hidden};
  input_gate_ = loader.Matrix(spec.input_gate.weight, part);
  output_gate_ = loader.Matrix(spec.output_gate.weight, part);
  value_ = loader.Matrix(spec.value.weight, part);
  input_gate_bias_ = loader.Bias(spec.input_gate, columns);
  output_gate_bias_ = loader.Bias(spec.output_gate, columns);
  value_bias_ = loader.Bias(spec.value, columns);
  convolution_ = Convolution(loader, spec.convolution, columns);
  output_ = loader.Matrix(spec.output.weight, {hidden, columns});
  if (output_bias) output_bias_ = loader.Bias(spec.output, hidden);
}

void ShortConvolutionOperator::Forward(Backend& backend, MixerStep& step, const Tensor& input,
                                       const Tensor& output) {
  const StepRows& where = step.where;
  Arena& arena = backend.scratch();
  const Arena::Scope scope(arena);
  states_.Enter(backend, where.where());
  const Tensor in = arena.Rows(input.rows, value_->rows());
  const Tensor out = arena.Rows(input.rows, in.width);
  const Tensor value = arena.Rows(input.rows, in.width);
  backend.Linear(input,
                 std::array<LinearOutput, 3>{{{input_gate_.get(), input_gate_bias_.get(), in},
                                              {output_gate_.get(), output_gate_bias_.get(), out},
                                              {value_.get(), value_bias_.get(), value}}});
  backend.Multiply(in, value);
  backend.Convolve(value, *convolution_.taps, convolution_.bias.get(), false, where,
                   states_.store(0), in);
  backend.Multiply(out, in);
  const LinearOutput projected{output_.get(), output_bias_.get(), output};
  backend.Linear(in, {&projected, 1});
}

uint64_t ShortConvolutionOperator::weight_bytes() const {
  uint64_t bytes = convolution_.bytes();
  for (const MatrixPtr* matrix : {&input_gate_, &output_gate_, &value_, &output_})
    bytes += (*matrix)->bytes();
  for (const VectorPtr* bias : {&input_gate_bias_, &output_gate_bias_, &value_bias_, &output_bias_})
    bytes += BytesOf(*bias);
  return bytes;
}

uint64_t ShortConvolutionOperator::SourceBytes(const ShortConvolutionSpec& spec) {
  uint64_t bytes = spec.convolution.bytes();
  for (const LinearSpec* linear : {&spec.input_gate, &spec.output_gate, &spec.value, &spec.output})
    bytes += conclave::SourceBytes(*linear);
  return bytes;
}

}  // namespace conclave
