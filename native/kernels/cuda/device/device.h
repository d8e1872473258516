#pragma once

// The vocabulary of the kernels: one definition for nvcc, one for the emulation in tests, which any
// compiler of C++20 compiles.

#include <cstdint>

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#else
#include "conclave/base/number_formats.h"
#include "emulation/cuda.h"
#endif

namespace conclave::cuda {

// Numbers of 16 bits as they lie in memory.
struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

__device__ __forceinline__ float ToFloat(float value) { return value; }

__device__ __forceinline__ float ToFloat(Bf16 value) {
#if defined(__CUDACC__)
  return __uint_as_float(static_cast<uint32_t>(value.bits) << 16);
#else
  return Bf16ToFloat(value.bits);
#endif
}

__device__ __forceinline__ float ToFloat(F16 value) {
#if defined(__CUDACC__)
  return __half2float(__ushort_as_half(value.bits));
#else
  return F16ToFloat(value.bits);
#endif
}

// To nearest, ties to even.
__device__ __forceinline__ Bf16 ToBf16(float value) {
#if defined(__CUDACC__)
  return Bf16{__bfloat16_as_ushort(__float2bfloat16_rn(value))};
#else
  return Bf16{FloatToBf16(value)};
#endif
}

template <typename Element>
__device__ __forceinline__ Element FromFloat(float value);
template <>
__device__ __forceinline__ float FromFloat<float>(float value) {
  return value;
}
template <>
__device__ __forceinline__ Bf16 FromFloat<Bf16>(float value) {
  return ToBf16(value);
}

// a * b + c, rounded once where the device can; the emulation rounds twice, as it would take a
// function call to do otherwise.
__device__ __forceinline__ float MultiplyAdd(float a, float b, float c) {
#if defined(__CUDACC__)
  return __fmaf_rn(a, b, c);
#else
  return a * b + c;
#endif
}

// Dynamic shared memory of the block, 128-byte aligned.
__device__ __forceinline__ unsigned char* SharedMemory() {
#if defined(__CUDACC__)
  extern __shared__ __align__(128) unsigned char conclave_shared[];
  return conclave_shared;
#else
  return emu::block->shared;
#endif
}

// The running thread's number of all of a grid of one dimension.
__device__ __forceinline__ int64_t GlobalThread() {
  return int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}

constexpr float kInfinity = __builtin_huge_valf();
constexpr uint32_t kAllLanes = 0xFFFFFFFF;

__host__ __device__ constexpr int64_t RoundUp(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// Threads that take `items` each of `count`.
__host__ __device__ constexpr int64_t Parts(int64_t count, int64_t items) {
  return (count + items - 1) / items;
}

}  // namespace conclave::cuda
