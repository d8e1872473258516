#include "conclave/engine/expert_gate.h"

#include "conclave/base/parallel_rows.h"

namespace conclave {

ExpertGate::ExpertGate(TensorLoader& loader, const MoeSpec& spec)
    : weight_(loader.Matrix(spec.gate.weight, Whole(spec.gate.weight), WeightsFormat::kF32)),
      experts_(static_cast<int>(spec.experts.size())),
      top_k_(spec.gate.top_k),
      scoring_(spec.gate.scoring),
      multiplier_(spec.gate.weight_multiplier) {}

void ExpertGate::Forward(Compute& compute, Buffer<float>& logits, const float* input, int64_t rows,
                         int32_t* ids, float* weights) const {
  float* scores = logits.Reserve(rows * experts_);
  compute.kernels->Matmul(compute.pool, weight_, input, rows, nullptr, scores);
  ParallelRows(compute.pool, rows, int64_t{experts_} * 4, [&](int64_t first, int64_t end) {
    TopKGate(scores + first * experts_, end - first, experts_, top_k_, scoring_, multiplier_,
             ids + first * top_k_, weights + first * top_k_);
  });
}

}  // namespace conclave
