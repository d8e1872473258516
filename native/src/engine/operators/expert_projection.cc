#include "conclave/engine/operators/expert_projection.h"

namespace conclave {
namespace {

NormSpec BareNorm(float epsilon) {
  NormSpec bare;
  bare.epsilon = epsilon;
  return bare;
}

}  // namespace

ExpertProjection::ExpertProjection(TensorLoader& loader, const MoeSpec& spec, float epsilon)
    : input_(loader.Matrix(spec.input->weight, Whole(spec.input->weight))),
      output_(loader.Matrix(spec.output->weight, Whole(spec.output->weight))),
      input_bias_(loader.Bias(*spec.input, {0, spec.input->out()})),
      output_bias_(loader.Bias(*spec.output, {0, spec.output->out()})),
      scale_(loader, BareNorm(epsilon), spec.input->out()) {}

void ExpertProjection::Narrow(Backend& backend, const Tensor& input, const Tensor& narrow,
                              const Grid& grid) const {
  const LinearOutput product{input_.get(), input_bias_.get(), narrow};
  backend.Linear(input, {&product, 1});
  const Arena::Scope scope(backend.scratch());
  // The projection back may bring up what is far below the scale of these rows, as a norm may.
  const GridOutput output{grid, kPostNormGridBits};
  scale_.Forward(backend, narrow, backend.scratch().Rows(narrow.rows, narrow.width), &output);
}

void ExpertProjection::Widen(Backend& backend, const Tensor& narrow, const Tensor& output) const {
  const LinearOutput product{output_.get(), output_bias_.get(), output};
  backend.Linear(narrow, {&product, 1});
}

uint64_t ExpertProjection::weight_bytes() const {
  return input_->bytes() + output_->bytes() + BytesOf(input_bias_) + BytesOf(output_bias_) +
         scale_.bytes();
}

uint64_t ExpertProjection::SourceBytes(const MoeSpec& spec) {
  return conclave::SourceBytes(*spec.input) + conclave::SourceBytes(*spec.output);
}

}  // namespace conclave
