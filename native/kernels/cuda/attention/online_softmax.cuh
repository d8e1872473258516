#pragma once

#include "kernels/cuda/attention/arguments.h"

namespace conclave::cuda {

// Softmax of one query over positions that come in tiles, by the four lanes of a warp that hold its
// scores: those of positions begin + 8 j + lane % 4 * 2 (+ 1) in scores[j][2 half (+ 1)].
struct OnlineSoftmax {
  float highest;  // score so far
  float total;    // of weights

  // Scores become weights, e^(score - highest), 0 of what is not seen. Returns what earlier sums
  // are to be multiplied by.
  template <int kTiles>
  __device__ __forceinline__ float Weigh(const AttentionParams& params, int64_t begin,
                                         const SeenPositions& seen, int half,
                                         float (&scores)[kTiles][4]) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float most = highest;
#pragma unroll
    for (int at = 0; at < kTiles * 2; ++at) {
      float& score = scores[at / 2][half * 2 + at % 2];
      const int64_t position = begin + at / 2 * 8 + lane % 4 * 2 + at % 2;
      score *= params.scale;
      if (params.softcap > 0) score = params.softcap * tanhf(score / params.softcap);
      if (position < seen.begin || position >= seen.end) score = -kInfinity;
      most = fmaxf(most, score);
    }
    most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 1));
    most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 2));
    // Where nothing is seen so far there is nothing to subtract.
    const float shift = most == -kInfinity ? 0 : most;
    const float rescale = expf(highest - shift);
    highest = most;
    float sum = 0;
#pragma unroll
    for (int at = 0; at < kTiles * 2; ++at) {
      float& weight = scores[at / 2][half * 2 + at % 2];
      weight = expf(weight - shift);
      sum += weight;
    }
    sum += __shfl_xor_sync(kAllLanes, sum, 1);
    sum += __shfl_xor_sync(kAllLanes, sum, 2);
    total = MultiplyAdd(total, rescale, sum);
    return rescale;
  }
};

}  // namespace conclave::cuda
