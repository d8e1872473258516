#pragma once

// What the lanes of a warp do together, and asynchronous copies.

#include <cstddef>
#include <cstdint>

#include "emulation/block.h"

namespace emu {

float Bf16ToFloat(uint32_t half);

// c[16x8] += a[16x16] b[16x8] of bf16, with sums in f32; fragments as in the PTX ISA, "Matrix
// fragments for mma.m16n8k16".
void MultiplyAccumulate(float* c, const uint32_t* a, const uint32_t* b);

// Four 8x8 matrices of 16-bit elements from shared memory; lane i names row i % 8 of matrix i / 8.
void LoadMatrix4(uint32_t* output, const void* row);
// The same, each matrix transposed.
void LoadMatrix4Transposed(uint32_t* output, const void* row);

// A copy to shared memory of `bytes`, of which those from `valid` on become zero.
void CopyAsync(void* target, const void* source, size_t bytes, size_t valid);
void CommitCopies();
// Lands this thread's copies but for those of the newest `keep` groups.
void WaitCopies(int keep);

void SyncWarp(uint32_t mask);

// Operands are on the stacks of fibers, which TSan takes for threads of their own.
#if defined(__SANITIZE_THREAD__)
#define EMU_NO_TSAN __attribute__((no_sanitize("thread"), noinline))
#else
#define EMU_NO_TSAN
#endif

template <typename T>
struct ShuffleOperands {
  T value;
  int source;
  T result;
};

template <typename T>
EMU_NO_TSAN void ShuffleWork(void** all) {
  const uint32_t mask = thread->warp->mask;
  for (int lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    auto& o = *static_cast<ShuffleOperands<T>*>(all[lane]);
    if ((mask >> o.source & 1) == 0) Die("shuffle: reads a lane that takes no part");
    o.result = static_cast<ShuffleOperands<T>*>(all[o.source])->value;
  }
}

template <typename T>
EMU_NO_TSAN T Shuffle(uint32_t mask, T value, int source) {
  ShuffleOperands<T> own{value, source & 31, value};
  Collective("shuffle", mask, &own, ShuffleWork<T>);
  return own.result;
}

}  // namespace emu
