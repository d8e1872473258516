#include <cuda_runtime_api.h>

#include <cstdlib>

#include "conclave/base/message.h"
#include "kernels/cuda/backend.h"
#include "kernels/cuda/runtime/checks.h"
#include "kernels/cuda/runtime/device_support.h"
#include "kernels/cuda/runtime/runtime.h"

namespace conclave::cuda {
namespace {

[[noreturn]] void NoDevice(cudaError_t error) {
  int driver = 0;
  if (error == cudaErrorInsufficientDriver && cudaDriverGetVersion(&driver) == cudaSuccess)
    throw Error(ErrorCode::kUnsupported, DriverProblem(driver, CUDART_VERSION));
  const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
  Fail(ErrorCode::kUnsupported, "no device: ", cudaGetErrorString(error),
       visible == nullptr ? "" : std::string(" (CUDA_VISIBLE_DEVICES is \"") + visible + "\")");
}

DeviceInfo Describe(int index) {
  cudaDeviceProp properties;
  const cudaError_t error = cudaGetDeviceProperties(&properties, index);
  if (error != cudaSuccess) NoDevice(error);
  return {.index = index,
          .name = properties.name,
          .major = properties.major,
          .minor = properties.minor,
          .total_bytes = properties.totalGlobalMem,
          .multiprocessors = properties.multiProcessorCount,
          .shared_bytes_per_block = properties.sharedMemPerBlockOptin};
}

}  // namespace

std::vector<DeviceInfo> Devices() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) NoDevice(error);
  if (count == 0) NoDevice(cudaErrorNoDevice);
  std::vector<DeviceInfo> devices;
  std::string problems;
  for (int index = 0; index < count; ++index) {
    DeviceInfo device = Describe(index);
    const std::optional<std::string> problem = DeviceProblem(device, CONCLAVE_CUDA_ARCHITECTURES);
    if (problem) {
      problems += (problems.empty() ? "" : "; ") + *problem;
    } else {
      devices.push_back(std::move(device));
    }
  }
  if (devices.empty()) Fail(ErrorCode::kUnsupported, "no device: ", problems);
  return devices;
}

size_t FreeBytes(int device) {
  size_t free = 0;
  size_t total = 0;
  UseDevice(device);
  Check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo", "free memory of a device");
  return free;
}

}  // namespace conclave::cuda
