#include "conclave/engine/operators/gate.h"

#include "conclave/base/message.h"

namespace conclave {

ExpertGate::ExpertGate(TensorLoader& loader, const MoeSpec& spec)
    : weight_(
          loader.Matrix(spec.gate.weight.data, Whole(spec.gate.weight.data), WeightsFormat::kF32)),
      params_{spec.gate.top_k, spec.gate.scoring, spec.gate.weight_multiplier} {
  const Capabilities limits = loader.backend().capabilities();
  if (experts() > limits.max_experts || top_k() > limits.max_top_k) {
    Fail(ErrorCode::kUnsupported, "gate: the ", limits.name, " backend takes up to ",
         limits.max_experts, " experts and the top ", limits.max_top_k, "; the model has ",
         experts(), " and takes ", top_k());
  }
}

void ExpertGate::Forward(Backend& backend, const Tensor& input, std::vector<int32_t>& ids,
                         std::vector<float>& weights) const {
  Arena& arena = backend.scratch();
  const Arena::Scope scope(arena);
  const GateChoice choice{arena.Take<int32_t>(input.rows, top_k()),
                          arena.Rows(input.rows, top_k())};
  backend.Gate(input, *weight_, params_, choice);
  ids.resize(static_cast<size_t>(choice.ids.elements()));
  weights.resize(ids.size());
  backend.Download(choice.ids, ids);
  backend.Download(choice.weights, weights);
  backend.Synchronise();
}

}  // namespace conclave
