#pragma once

// kernel<<<grid, threads, shared>>>(arguments...), on a device or in the emulation.

#include "kernels/cuda/device/device.h"
#include "kernels/cuda/runtime/runtime.h"
#if defined(__CUDACC__)
#include "kernels/cuda/runtime/checks.h"
#else
#include "emulation/stream.h"
#endif

namespace conclave::cuda {

struct LaunchShape {
  int64_t x = 1;
  int64_t y = 1;
  int64_t z = 1;
};

// A grid with nothing in it is passed over.
template <auto kKernel, typename... Arguments>
void Launch(Stream& stream, const char* purpose, LaunchShape grid, unsigned threads,
            size_t shared_bytes, const Arguments&... arguments) {
  if (grid.x <= 0 || grid.y <= 0 || grid.z <= 0) return;
  const auto size = [](int64_t blocks) { return static_cast<unsigned>(blocks); };
  stream.Use();
#if defined(__CUDACC__)
  constexpr size_t kFree = 48 << 10;  // What kernels may have without asking.
  if (shared_bytes > kFree) {
    Check(cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)),
          "cudaFuncSetAttribute", purpose);
  }
  kKernel<<<dim3(size(grid.x), size(grid.y), size(grid.z)), threads, shared_bytes,
            static_cast<cudaStream_t>(stream.handle())>>>(arguments...);
  Check(cudaGetLastError(), "launch", purpose);
#else
  emu::Enqueue(stream.handle(), "launch", purpose, [=] {
    emu::Launch({size(grid.x), size(grid.y), size(grid.z)}, {threads}, shared_bytes,
                [&] { kKernel(arguments...); });
  });
#endif
}

template <typename Operation>
__global__ void EachElement(Operation operation, int64_t count) {
  const int64_t i = GlobalThread();
  if (i < count) operation(i);
}

// operation(i) for i in [0, count), each by a thread.
template <typename Operation>
void LaunchElements(Stream& stream, const char* purpose, int64_t count,
                    const Operation& operation) {
  constexpr unsigned kThreads = 256;
  Launch<EachElement<Operation>>(stream, purpose, {.x = Parts(count, kThreads)}, kThreads, 0,
                                 operation, count);
}

}  // namespace conclave::cuda
