#include "conclave/engine/operators/dense.h"

namespace conclave {

DenseOperator::DenseOperator(TensorLoader& loader, const DenseSpec& spec, Range width)
    : ffn_(loader.Ffn(spec.ffn, width)), multiplier_(spec.multiplier) {
  if (spec.output_gate) {
    gate_ = loader.Matrix(*spec.output_gate, Whole(*spec.output_gate), WeightsFormat::kF32);
  }
}

void DenseOperator::Forward(Backend& backend, const Tensor& input, const Tensor& output) const {
  backend.Forward(*ffn_, input, output);
  if (multiplier_ != 1) backend.Scale(output, multiplier_);
  if (!gate_) return;
  const Arena::Scope scope(backend.scratch());
  const LinearOutput gates{gate_.get(), nullptr, backend.scratch().Rows(input.rows, 1)};
  backend.Linear(input, {&gates, 1});
  backend.ScaleBySigmoid(gates.output, output);
}

uint64_t DenseOperator::SourceBytes(const DenseSpec& spec) {
  return conclave::SourceBytes(spec.ffn) + (spec.output_gate ? spec.output_gate->bytes() : 0);
}

}  // namespace conclave
