#pragma once

// Errors of the CUDA runtime.

#include <cuda_runtime_api.h>

#include "conclave/base/message.h"

namespace conclave::cuda {

// An error that poisons the context, such as an illegal address or one that memory could not
// correct, comes back from every later call: kDeviceLost, which ends the worker.
inline void Check(cudaError_t error, const char* call, const char* purpose) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // Forgets it, where it can be forgotten.
  const bool lost = cudaFree(nullptr) != cudaSuccess;
  const ErrorCode code = lost                                 ? ErrorCode::kDeviceLost
                         : error == cudaErrorMemoryAllocation ? ErrorCode::kOutOfMemory
                                                              : ErrorCode::kInternal;
  Fail(code, purpose, ": ", call, ": ", cudaGetErrorString(error), " (", cudaGetErrorName(error),
       ")");
}

}  // namespace conclave::cuda
