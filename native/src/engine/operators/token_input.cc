#include "conclave/engine/operators/token_input.h"

#include <numbers>

namespace conclave {
namespace {

// x *= gelu(gate), which is gate / 2 (1 + tanh(y)) = gate * sigmoid(2 y) with
// y = sqrt(2 / pi) (gate + 0.044715 gate^3).
void ScaleByGelu(Backend& backend, const Tensor& gate, const Tensor& x) {
  const Arena::Scope scope(backend.scratch());
  const Tensor y = backend.scratch().Rows(gate.rows, gate.width);
  backend.Copy(gate, y);
  backend.Multiply(gate, y);
  backend.Multiply(gate, y);
  backend.Scale(y, 0.044715f);
  backend.AddScaled(gate, 1, y);
  backend.Scale(y, 2 * std::numbers::sqrt2_v<float> * std::numbers::inv_sqrtpi_v<float>);
  backend.Multiply(gate, x);
  backend.ScaleBySigmoid(y, x);
}

}  // namespace

TokenInputOperator::TokenInputOperator(TensorLoader& loader, const TokenInputSpec& spec)
    : embedding_(loader.Embedding(spec.embedding)),
      embedding_multiplier_(spec.embedding_multiplier),
      norm_(loader, spec.norm, spec.width()) {
  const auto matrix = [&](const LinearSpec& linear) {
    return loader.Matrix(linear.weight, Whole(linear.weight));
  };
  projection_ = matrix(spec.projection);
  gate_ = matrix(spec.gate);
  output_ = matrix(spec.output);
  projection_bias_ = loader.Bias(spec.projection, {0, spec.projection.out()});
  gate_bias_ = loader.Bias(spec.gate, {0, spec.gate.out()});
  output_bias_ = loader.Bias(spec.output, {0, spec.output.out()});
}

void TokenInputOperator::Forward(Backend& backend, std::span<const int32_t> tokens,
                                 const Tensor& embedded, const Tensor& input,
                                 const Tensor& output) const {
  Arena& arena = backend.scratch();
  const Arena::Scope scope(arena);
  const auto linear = [&](const MatrixPtr& matrix, const VectorPtr& bias, const Tensor& x,
                          const Tensor& y) {
    const LinearOutput product{matrix.get(), bias.get(), y};
    backend.Linear(x, {&product, 1});
  };
  const int64_t width = gate_->rows();
  const Tensor said = arena.Rows(input.rows, width);
  backend.Embed(*embedding_, tokens, embedding_multiplier_, said);
  const Tensor rows = arena.Rows(input.rows, width);
  linear(projection_, projection_bias_, embedded, rows);
  norm_.Forward(backend, rows, rows);
  backend.AddScaled(rows, 1, said);
  linear(gate_, gate_bias_, input, rows);
  ScaleByGelu(backend, rows, said);
  linear(output_, output_bias_, said, output);
}

uint64_t TokenInputOperator::weight_bytes() const {
  uint64_t bytes = embedding_->bytes() + norm_.bytes();
  for (const MatrixPtr* matrix : {&projection_, &gate_, &output_}) bytes += (*matrix)->bytes();
  for (const VectorPtr* bias : {&projection_bias_, &gate_bias_, &output_bias_})
    bytes += BytesOf(*bias);
  return bytes;
}

uint64_t TokenInputOperator::SourceBytes(const TokenInputSpec& spec) {
  return spec.embedding.bytes() + spec.norm.bytes() + conclave::SourceBytes(spec.projection) +
         conclave::SourceBytes(spec.gate) + conclave::SourceBytes(spec.output);
}

}  // namespace conclave
