#include "conclave/engine/operators/stream_mix.h"

namespace conclave {

StreamMix::StreamMix(TensorLoader& loader, const ModelSpec& model, const StreamMixSpec& spec)
    : params_{model.streams, spec.iterations, spec.epsilon},
      norm_epsilon_(spec.norm_epsilon),
      weight_(loader.Matrix(spec.weight, Whole(spec.weight), WeightsFormat::kF32)),
      ones_(loader.backend().Store(
          std::vector<float>(static_cast<size_t>(model.residual_width()), 1.0f))),
      base_(loader.Vector(spec.base)),
      scale_(loader.Vector(spec.scale)) {}

void StreamMix::Read(Backend& backend, const Tensor& x, const Tensor& weights,
                     const Tensor& output) const {
  const Arena::Scope scope(backend.scratch());
  const Tensor normalised = backend.scratch().Rows(x.rows, x.width);
  backend.RmsNorm(x, *ones_, norm_epsilon_, normalised);
  const LinearOutput product{weight_.get(), nullptr, weights};
  backend.Linear(normalised, {&product, 1});
  backend.WeighStreams(params_, *base_, *scale_, weights);
  backend.ReadStreams(params_, weights, x, output);
}

}  // namespace conclave
