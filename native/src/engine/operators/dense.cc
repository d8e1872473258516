#include "conclave/engine/operators/dense.h"

namespace conclave {

DenseOperator::DenseOperator(TensorLoader& loader, const LayerSpec& spec, Range width)
    : ffn_(loader.Ffn(*spec.dense(), width)) {
  if (spec.moe() != nullptr && spec.moe()->shared_expert_gate) {
    const TensorRef& gate = *spec.moe()->shared_expert_gate;
    gate_ = loader.Matrix(gate, Whole(gate), WeightsFormat::kF32);
  }
}

void DenseOperator::Forward(Backend& backend, const Tensor& input, const Tensor& output) const {
  backend.Forward(*ffn_, input, output);
  if (!gate_) return;
  const Arena::Scope scope(backend.scratch());
  const LinearOutput gates{gate_.get(), nullptr, backend.scratch().Rows(input.rows, 1)};
  backend.Linear(input, {&gates, 1});
  backend.ScaleBySigmoid(gates.output, output);
}

uint64_t DenseOperator::SourceBytes(const LayerSpec& spec) {
  const DenseFfnSpec& dense = *spec.dense();
  uint64_t bytes = conclave::SourceBytes(dense.gate) + conclave::SourceBytes(dense.up) +
                   conclave::SourceBytes(dense.down);
  if (spec.moe() != nullptr && spec.moe()->shared_expert_gate)
    bytes += spec.moe()->shared_expert_gate->bytes();
  return bytes;
}

}  // namespace conclave
