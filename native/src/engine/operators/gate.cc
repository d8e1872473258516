#include "conclave/engine/operators/gate.h"

#include "conclave/base/message.h"

namespace conclave {

ExpertGate::ExpertGate(TensorLoader& loader, const MoeSpec& spec)
    : experts_(spec.experts.count),
      weight_(loader.Matrix(spec.gate.linear.weight, Whole(spec.gate.linear.weight),
                            WeightsFormat::kF32)),
      bias_(loader.Bias(spec.gate.linear, {0, spec.choices()})),
      correction_(loader.Vector(spec.gate.correction, {0, spec.choices()})),
      scales_(loader.Vector(spec.gate.scales, {0, spec.choices()})),
      params_{.top_k = spec.gate.top_k,
              .scoring = spec.gate.scoring,
              .weight_multiplier = spec.gate.weight_multiplier,
              .renormalise = spec.gate.renormalise,
              .smallest_sum = spec.gate.smallest_sum,
              .jitter = spec.gate.jitter,
              .softcap = spec.gate.softcap,
              .groups = spec.gate.groups,
              .bias = bias_.get(),
              .correction = correction_.get(),
              .scales = scales_.get()} {
  if (spec.gate.norm) norm_.emplace(loader, *spec.gate.norm, spec.gate.linear.in());
  if (spec.gate.table) table_ = loader.Ids(*spec.gate.table, spec.experts.count);
  const Capabilities limits = loader.backend().capabilities();
  if (spec.choices() > limits.max_experts || top_k() > limits.max_top_k) {
    Fail(ErrorCode::kUnsupported, "gate: the ", limits.name, " backend takes up to ",
         limits.max_experts, " experts and the top ", limits.max_top_k, "; the model has ",
         spec.choices(), " and takes ", top_k());
  }
}

uint64_t ExpertGate::SourceBytes(const GateSpec& spec) {
  uint64_t bytes = conclave::SourceBytes(spec.linear) + (spec.norm ? spec.norm->bytes() : 0);
  for (const auto* vector : {&spec.correction, &spec.scales, &spec.table})
    bytes += *vector ? (*vector)->bytes() : 0;
  return bytes;
}

void ExpertGate::Forward(Backend& backend, const Tensor& input, const Tensor& residual,
                         std::span<const int32_t> tokens, std::vector<int32_t>& ids,
                         std::vector<float>& weights) const {
  Arena& arena = backend.scratch();
  const Arena::Scope scope(arena);
  const GateChoice choice{arena.Take<int32_t>(input.rows, top_k()),
                          arena.Rows(input.rows, top_k())};
  Tensor rows = input;
  if (norm_) {
    rows = arena.Rows(input.rows, input.width);
    norm_->Forward(backend, residual, rows);
  }
  GateParams params = params_;
  DeviceIds picked;
  if (reads_tokens()) {
    ids.clear();
    for (const int32_t token : tokens) {
      const auto first = table_.begin() + int64_t{token} * top_k();
      ids.insert(ids.end(), first, first + top_k());
    }
    picked = arena.Take<int32_t>(input.rows, top_k());
    backend.Upload(ids, picked);
    params.picked = &picked;
  }
  backend.Gate(rows, *weight_, params, choice);
  ids.resize(static_cast<size_t>(choice.ids.elements()));
  weights.resize(ids.size());
  backend.Download(choice.ids, ids);
  backend.Download(choice.weights, weights);
  backend.Synchronise();
}

}  // namespace conclave
