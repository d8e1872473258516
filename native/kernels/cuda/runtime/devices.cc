#include <cuda_runtime_api.h>

#include "conclave/base/message.h"
#include "kernels/cuda/backend.h"

namespace conclave::cuda {
namespace {

// Of mma.sync for bf16 and of cp.async.
constexpr int kLeastMajor = 8;

[[noreturn]] void NoDevice(cudaError_t error) {
  int driver = 0;
  if (error == cudaErrorInsufficientDriver && cudaDriverGetVersion(&driver) == cudaSuccess) {
    if (driver == 0) Fail(ErrorCode::kUnsupported, "no device: no NVIDIA driver is installed");
    Fail(ErrorCode::kUnsupported, "no device: the NVIDIA driver supports CUDA ", driver / 1000, ".",
         driver % 1000 / 10, ", and this build needs ", CUDART_VERSION / 1000, ".",
         CUDART_VERSION % 1000 / 10, ": install a newer driver");
  }
  Fail(ErrorCode::kUnsupported, "no device: ", cudaGetErrorString(error));
}

DeviceInfo Describe(int index) {
  cudaDeviceProp properties;
  cudaError_t error = cudaGetDeviceProperties(&properties, index);
  if (error != cudaSuccess) NoDevice(error);
  DeviceInfo info{.index = index,
                  .name = properties.name,
                  .major = properties.major,
                  .minor = properties.minor,
                  .total_bytes = properties.totalGlobalMem,
                  .free_bytes = 0,
                  .multiprocessors = properties.multiProcessorCount,
                  .shared_bytes_per_block = properties.sharedMemPerBlockOptin};
  error = cudaSetDevice(index);
  size_t total = 0;
  if (error == cudaSuccess) error = cudaMemGetInfo(&info.free_bytes, &total);
  if (error != cudaSuccess) NoDevice(error);
  return info;
}

}  // namespace

std::vector<DeviceInfo> Devices() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) NoDevice(error);
  std::vector<DeviceInfo> devices;
  for (int index = 0; index < count; ++index) {
    DeviceInfo info = Describe(index);
    if (info.major >= kLeastMajor) devices.push_back(std::move(info));
  }
  if (devices.empty()) {
    Fail(ErrorCode::kUnsupported, "no device: none of ", count,
         " has compute capability 8.0 or more");
  }
  return devices;
}

}  // namespace conclave::cuda
