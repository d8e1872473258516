#pragma once

// The logits of a row, and the experts that one warp picks from them.

#include "conclave/base/operator_parameters.h"
#include "kernels/cuda/device/reduce.h"

namespace conclave::cuda {

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
  float softcap;          // 0: none
  const float* scales;    // [experts]; null: none
  const int32_t* picked;  // [rows, top_k]: the experts of each row; null: by scores
  int32_t* ids;           // [rows, top_k]
  float* weights;         // [rows, top_k]
  int* fault;             // becomes 1 where a row's logits are not finite
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

}  // namespace conclave::cuda
