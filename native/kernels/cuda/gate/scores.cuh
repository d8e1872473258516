#pragma once

// From the logits of a row to scores, and to what experts are picked by.

#include "kernels/cuda/gate/row.cuh"

namespace conclave::cuda {

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

}  // namespace conclave::cuda
