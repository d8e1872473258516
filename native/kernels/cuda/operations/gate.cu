// From the logits of a row to its experts.

#include "conclave/base/expect.h"
#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/gate/scores.cuh"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

// Each pick: the softmax over the logits that are close to the best one left.
__device__ __forceinline__ void Sparsemixer(const GateArguments& g, const GateRow& row,
                                            int32_t* ids, float* weights) {
  for (int e = row.lane; e < row.experts; e += 32) row.choice[e] = row.logits[e];
  __syncwarp();
  for (int pick = 0; pick < g.top_k; ++pick) {
    const int id = Pick(row);
    const float highest = row.logits[id];
    float sum = 0;
    for (int e = row.lane; e < row.experts; e += 32) {
      const float x = row.logits[e];
      const bool far = (highest - x) / fmaxf(fabsf(x), highest) > 2 * g.jitter;
      const bool picked = e != id && !(row.choice[e] == row.choice[e]);
      if (!far && !picked) sum += expf(x - highest);
    }
    sum = WarpSum(sum);
    if (row.lane != 0) continue;
    ids[pick] = id;
    weights[pick] = g.multiplier / sum;
  }
}

// Picks, by one lane; `kept` has each pick's score.
__device__ __forceinline__ void Weigh(const GateArguments& g, float* kept, float* weights) {
  float sum = 0;
  if (g.scoring == GateScoring::kSoftmaxTopK) {
    float highest = -kInfinity;
    for (int j = 0; j < g.top_k; ++j) highest = fmaxf(highest, kept[j]);
    for (int j = 0; j < g.top_k; ++j) {
      kept[j] = expf(kept[j] - highest);
      sum += kept[j];
    }
    for (int j = 0; j < g.top_k; ++j) kept[j] /= sum;
    sum = 0;
  }
  float divisor = 1;
  if (g.renormalise) {
    for (int j = 0; j < g.top_k; ++j) sum += kept[j];
    divisor = fmaxf(sum, g.smallest_sum);
  }
  for (int j = 0; j < g.top_k; ++j) weights[j] = kept[j] / divisor * g.multiplier;
}

__device__ __forceinline__ void CheckLogits(const GateArguments& g, const GateRow& row) {
  const bool unusable = !(HighestLogit(row) > -kInfinity);
  bool bad = unusable && row.lane == 0;
  for (int e = row.lane; e < row.experts; e += 32) bad = bad || !(row.logits[e] < kInfinity);
  if (bad) atomicMax(g.fault, 1);
}

__device__ __forceinline__ float LogitOf(const GateArguments& g, float product, int expert) {
  const float logit = g.bias != nullptr ? product + g.bias[expert] : product;
  return g.softcap > 0 ? g.softcap * tanhf(logit / g.softcap) : logit;
}

// One warp for each row. Shared: logits, scores, choice and group bests [experts], scores of picks.
__global__ void ChooseExperts(GateArguments g) {
  auto* const shared = reinterpret_cast<float*>(SharedMemory());
  const GateRow row{shared, shared + g.experts, shared + 2 * g.experts, g.experts,
                    static_cast<int>(threadIdx.x)};
  float* const best = shared + 3 * g.experts;
  float* const kept = shared + 4 * g.experts;
  const float* const logits = g.logits + int64_t{blockIdx.x} * g.experts;
  int32_t* const ids = g.ids + int64_t{blockIdx.x} * g.top_k;
  float* const weights = g.weights + int64_t{blockIdx.x} * g.top_k;
  for (int e = row.lane; e < row.experts; e += 32) row.logits[e] = LogitOf(g, logits[e], e);
  __syncwarp();
  CheckLogits(g, row);
  if (g.scoring == GateScoring::kSparsemixer) return Sparsemixer(g, row, ids, weights);
  FindScores(g, row);
  if (g.groups.count > 0) KeepBestGroups(g.groups, row, best);
  for (int pick = 0; pick < g.top_k; ++pick) {
    const int id = g.picked != nullptr ? g.picked[int64_t{blockIdx.x} * g.top_k + pick] : Pick(row);
    if (row.lane != 0) continue;
    ids[pick] = id;
    kept[pick] = row.scores[id];
  }
  if (row.lane != 0) return;
  Weigh(g, kept, weights);
  if (g.scales == nullptr) return;
  for (int j = 0; j < g.top_k; ++j) weights[j] *= g.scales[ids[j]];
}

}  // namespace

void CudaBackend::Gate(const Tensor& x, const Matrix& weight, const GateParams& params,
                       const GateChoice& choice) {
  const int64_t experts = weight.rows();
  Expect(experts >= 1 && experts <= kMaxExperts, "experts", "1 to 1024", experts);
  Expect(params.top_k >= 1 && params.top_k <= kMaxTopK && params.top_k <= experts, "topK",
         "1 to 32 and at most the number of experts", params.top_k);
  const Arena::Scope scope(scratch());
  const LinearOutput logits{&weight, nullptr, scratch().Rows(x.rows, experts)};
  Linear(x, {&logits, 1});
  const size_t shared = static_cast<size_t>(4 * experts + params.top_k) * sizeof(float);
  Launch<ChooseExperts>(
      stream_, "gate", {.x = x.rows}, 32, shared,
      GateArguments{.logits = DevicePointer(logits.output),
                    .bias = DevicePointer(params.bias),
                    .correction = DevicePointer(params.correction),
                    .experts = static_cast<int>(experts),
                    .top_k = params.top_k,
                    .scoring = params.scoring,
                    .groups = params.groups,
                    .multiplier = params.weight_multiplier,
                    .renormalise = params.renormalise,
                    .smallest_sum = params.smallest_sum,
                    .jitter = params.jitter,
                    .softcap = params.softcap,
                    .scales = DevicePointer(params.scales),
                    .picked = params.picked != nullptr ? DevicePointer(*params.picked) : nullptr,
                    .ids = DevicePointer(choice.ids),
                    .weights = DevicePointer(choice.weights),
                    .fault = fault_.as<int>()});
}

}  // namespace conclave::cuda
