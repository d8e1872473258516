// From the logits of a row to its experts.

#include "conclave/base/expect.h"
#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

struct GateArguments {
  const float* logits;      // [rows, experts]
  const float* bias;        // [experts]; null: none
  const float* correction;  // [experts]; null: none
  int experts;
  int top_k;
  GateScoring scoring;
  GateGroups groups;
  float multiplier;
  bool renormalise;
  float smallest_sum;
  float jitter;
  float softcap;        // 0: none
  const float* scales;  // [experts]; null: none
  int32_t* ids;         // [rows, top_k]
  float* weights;       // [rows, top_k]
  int* fault;           // becomes 1 where a row's logits are not finite
};

// Of one row, in shared memory; each lane takes every 32nd expert.
struct GateRow {
  float* logits;
  float* scores;
  float* choice;  // what experts are picked by; NaN: not pickable
  int experts;
  int lane;
};

constexpr float kPicked = __builtin_nanf("");

// Numbers in the order of their keys; -0 is 0, and a NaN is below all.
__device__ __forceinline__ unsigned long long KeyOf(float value, int id) {
  if (!(value == value)) return 0;
  const float zeroed = value + 0.0f;
  uint32_t bits;
  memcpy(&bits, &zeroed, 4);
  bits ^= (bits >> 31) != 0 ? 0xFFFFFFFF : 0x80000000;
  return static_cast<unsigned long long>(bits) << 32 | static_cast<uint32_t>(~id);
}

// The expert of the largest choice, of equals the lowest; it cannot be picked again.
__device__ __forceinline__ int Pick(const GateRow& row) {
  unsigned long long best = 0;
  for (int e = row.lane; e < row.experts; e += 32) {
    const unsigned long long key = KeyOf(row.choice[e], e);
    best = key > best ? key : best;
  }
  for (int distance = 16; distance > 0; distance /= 2) {
    const unsigned long long other = __shfl_xor_sync(kAllLanes, best, distance);
    best = other > best ? other : best;
  }
  const int id = best == 0 ? 0 : static_cast<int>(~static_cast<uint32_t>(best));
  if (id % 32 == row.lane) row.choice[id] = kPicked;
  __syncwarp();
  return id;
}

__device__ __forceinline__ float HighestLogit(const GateRow& row) {
  float highest = -kInfinity;
  for (int e = row.lane; e < row.experts; e += 32) highest = fmaxf(highest, row.logits[e]);
  return WarpMax(highest);
}

__device__ __forceinline__ float ScoreOf(float x, GateScoring scoring, float highest) {
  switch (scoring) {
    case GateScoring::kSoftmaxAll:
      return expf(x - highest);  // divided by their sum later
    case GateScoring::kSigmoid:
      return 1 / (1 + expf(-x));
    case GateScoring::kSqrtSoftplus:
      return sqrtf(fmaxf(x, 0) + log1pf(expf(-fabsf(x))));
    default:
      return x;
  }
}

__device__ __forceinline__ void FindScores(const GateArguments& g, const GateRow& row) {
  const float highest = HighestLogit(row);
  float sum = 0;
  for (int e = row.lane; e < row.experts; e += 32) {
    row.scores[e] = ScoreOf(row.logits[e], g.scoring, highest);
    sum += row.scores[e];
  }
  if (g.scoring == GateScoring::kSoftmaxAll) {
    sum = WarpSum(sum);
    for (int e = row.lane; e < row.experts; e += 32) row.scores[e] /= sum;
  }
  const bool by_scores = g.correction != nullptr || g.groups.count > 0;
  for (int e = row.lane; e < row.experts; e += 32) {
    const float correction = g.correction != nullptr ? g.correction[e] : 0;
    row.choice[e] = by_scores ? row.scores[e] + correction : row.logits[e];
  }
  __syncwarp();
}

// Experts outside the best groups become unpickable but by what is left of the ids.
__device__ __forceinline__ void KeepBestGroups(const GateGroups& groups, const GateRow& row,
                                               float* best) {
  const int size = row.experts / groups.count;
  for (int group = row.lane; group < groups.count; group += 32) {
    float first = -kInfinity, second = -kInfinity;
    for (int e = group * size; e < (group + 1) * size; ++e) {
      second = fmaxf(second, fminf(first, row.choice[e]));
      first = fmaxf(first, row.choice[e]);
    }
    best[group] = groups.by_two && size > 1 ? first + second : first;
  }
  __syncwarp();
  for (int group = row.lane; group < groups.count; group += 32) {
    int better = 0;
    for (int other = 0; other < groups.count; ++other)
      better += best[other] > best[group] || (best[other] == best[group] && other < group);
    if (better < groups.kept) continue;
    for (int e = group * size; e < (group + 1) * size; ++e) row.choice[e] = -kInfinity;
  }
  __syncwarp();
}

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
    const int id = Pick(row);
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
  Launch<ChooseExperts>(stream_, "gate", {.x = x.rows}, 32, shared,
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
                                      .ids = DevicePointer(choice.ids),
                                      .weights = DevicePointer(choice.weights),
                                      .fault = fault_.as<int>()});
}

}  // namespace conclave::cuda
