#include <cuda_runtime.h>

#include "cuda/device-check/ceilings.h"
#include "kernels/cuda/runtime/checks.h"
#include "kernels/cuda/runtime/runtime.h"

namespace conclave::device_check {
namespace {

constexpr size_t kCopyBytes = size_t{1} << 30;
constexpr int kCopies = 20;
constexpr int kProducts = 1 << 14;  // of each warp and accumulator
constexpr int kAccumulators = 4;
constexpr int kWarps = 8;
constexpr double kProductFlops = 2.0 * 16 * 8 * 16;

// Products of fragments that stay in registers: as many as the tensor cores take.
__global__ void MultiplyInRegisters(float* output) {
  float sums[kAccumulators][4] = {};
  const unsigned a[4] = {threadIdx.x, threadIdx.x + 1, threadIdx.x + 2, threadIdx.x + 3};
  const unsigned b[2] = {threadIdx.x + 4, threadIdx.x + 5};
  for (int i = 0; i < kProducts; ++i) {
#pragma unroll
    for (auto& sum : sums) {
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
          "{%8,%9}, {%0,%1,%2,%3};"
          : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    }
  }
  float total = 0;
  for (const auto& sum : sums) total += sum[0] + sum[1] + sum[2] + sum[3];
  output[blockIdx.x * blockDim.x + threadIdx.x] = total;
}

void Check(cudaError_t error, const char* call) { cuda::Check(error, call, "ceilings"); }

// Seconds that work takes on the default stream, the second time.
template <typename Work>
double Time(const Work& work) {
  cudaEvent_t begin;
  cudaEvent_t end;
  Check(cudaEventCreate(&begin), "cudaEventCreate");
  Check(cudaEventCreate(&end), "cudaEventCreate");
  work();
  Check(cudaEventRecord(begin), "cudaEventRecord");
  work();
  Check(cudaEventRecord(end), "cudaEventRecord");
  Check(cudaEventSynchronize(end), "cudaEventSynchronize");
  float milliseconds = 0;
  Check(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
  Check(cudaEventDestroy(begin), "cudaEventDestroy");
  Check(cudaEventDestroy(end), "cudaEventDestroy");
  return double{milliseconds} * 1e-3;
}

}  // namespace

Ceilings MeasureCeilings(int device) {
  cuda::UseDevice(device);
  int multiprocessors = 0;
  Check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
        "cudaDeviceGetAttribute");
  const cuda::DeviceBuffer source(kCopyBytes, "ceilings");
  const cuda::DeviceBuffer target(kCopyBytes, "ceilings");
  const double copies = Time([&] {
    for (int i = 0; i < kCopies; ++i) {
      Check(cudaMemcpyAsync(target.as(), source.as(), kCopyBytes, cudaMemcpyDeviceToDevice),
            "cudaMemcpyAsync");
    }
  });
  const int blocks = 2 * multiprocessors;
  const double products = Time([&] {
    MultiplyInRegisters<<<blocks, 32 * kWarps>>>(target.as<float>());
    Check(cudaGetLastError(), "MultiplyInRegisters");
  });
  return {.copy_bytes_per_second = 2.0 * kCopies * double{kCopyBytes} / copies,
          .flops_per_second =
              kProductFlops * kProducts * kAccumulators * kWarps * double(blocks) / products};
}

}  // namespace conclave::device_check
