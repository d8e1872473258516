#pragma once

// The words of CUDA C++ for compilers that do not know them.

#include <cmath>
#include <cstdint>
#include <cstring>

#include "emulation/warp.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
#define threadIdx (emu::thread->index)
#define blockIdx (emu::block->index)
#define blockDim (emu::block->dim)
#define gridDim (emu::block->grid)

inline void __syncthreads() { emu::Barrier(); }
inline void __syncwarp(uint32_t mask = ~0u) { emu::SyncWarp(mask); }

template <typename T>
T __shfl_xor_sync(uint32_t mask, T value, int lanes) {
  return emu::Shuffle(mask, value, emu::thread->lane ^ lanes);
}

template <typename T>
T __shfl_sync(uint32_t mask, T value, int lane) {
  return emu::Shuffle(mask, value, lane);
}

inline int atomicMax(int* target, int value) {
  int seen = __atomic_load_n(target, __ATOMIC_RELAXED);
  while (seen < value && !__atomic_compare_exchange_n(target, &seen, value, false, __ATOMIC_RELAXED,
                                                      __ATOMIC_RELAXED))
    continue;
  return seen;
}
