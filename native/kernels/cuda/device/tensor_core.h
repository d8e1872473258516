#pragma once

// Asynchronous copies to shared memory, and products of matrices by a warp.

#include "kernels/cuda/device/device.h"

namespace conclave::cuda {

// Starts the copy of 16 bytes to shared memory; zeros instead, unless `valid`.
__device__ __forceinline__ void CopyAsync16(void* shared, const void* global, bool valid) {
#if defined(__CUDACC__)
  const auto target = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(global),
               "r"(valid ? 16 : 0));
#else
  emu::CopyAsync(shared, global, 16, valid ? 16 : 0);
#endif
}

__device__ __forceinline__ void CommitCopies() {
#if defined(__CUDACC__)
  asm volatile("cp.async.commit_group;");
#else
  emu::CommitCopies();
#endif
}

// Waits for this thread's copies but for the newest kKeep groups.
template <int kKeep>
__device__ __forceinline__ void WaitCopies() {
#if defined(__CUDACC__)
  asm volatile("cp.async.wait_group %0;" ::"n"(kKeep) : "memory");
#else
  emu::WaitCopies(kKeep);
#endif
}

// Four 8x8 matrices of 16-bit elements; lane i gives the address of row i % 8 of matrix i / 8.
__device__ __forceinline__ void LoadMatrix4(uint32_t (&output)[4], const void* row) {
#if defined(__CUDACC__)
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(output[0]), "=r"(output[1]), "=r"(output[2]), "=r"(output[3])
               : "r"(address)
               : "memory");
#else
  emu::LoadMatrix4(output, row);
#endif
}

// The same, each matrix transposed.
__device__ __forceinline__ void LoadMatrix4Transposed(uint32_t (&output)[4], const void* row) {
#if defined(__CUDACC__)
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(output[0]), "=r"(output[1]), "=r"(output[2]), "=r"(output[3])
               : "r"(address)
               : "memory");
#else
  emu::LoadMatrix4Transposed(output, row);
#endif
}

// Two elements of a fragment, the first in the lower bits.
__device__ __forceinline__ uint32_t PackBf16(float low, float high) {
  return ToBf16(low).bits | static_cast<uint32_t>(ToBf16(high).bits) << 16;
}

// c[16x8] += a[16x16] b[16x8], bf16 with f32 sums; fragments as in PTX's mma.m16n8k16: lane l holds
// c[l / 4 (+ 8)][l % 4 * 2 (+ 1)], b[l % 4 * 2 (+ 1, + 8, + 9)][l / 4].
__device__ __forceinline__ void MultiplyAccumulate(float (&c)[4], const uint32_t (&a)[4],
                                                   uint32_t b0, uint32_t b1) {
#if defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  const uint32_t b[2] = {b0, b1};
  emu::MultiplyAccumulate(c, a, b);
#endif
}

}  // namespace conclave::cuda
