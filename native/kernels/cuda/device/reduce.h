#pragma once

// Sums and maxima over the threads of a block or a warp, in an order that the number of threads
// alone determines.

#include "kernels/cuda/device/device.h"

namespace conclave::cuda {

// The sum of every thread's value, for all of them. The block has a power of two of threads, and
// `shared` an element for each.
template <typename T>
__device__ __forceinline__ T BlockSum(T value, T* shared) {
  const unsigned thread = threadIdx.x;
  shared[thread] = value;
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (thread < half) shared[thread] += shared[thread + half];
    __syncthreads();
  }
  const T sum = shared[0];
  __syncthreads();
  return sum;
}

__device__ __forceinline__ float WarpSum(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2)
    value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}

__device__ __forceinline__ float WarpMax(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, distance));
  return value;
}

}  // namespace conclave::cuda
