#pragma once

// Errors of the CUDA runtime.

#include <cuda_runtime_api.h>

#include "conclave/base/message.h"

namespace conclave::cuda {

// An error that poisons the context comes back from every later call too, which ends the worker.
inline void Check(cudaError_t error, const char* call, const char* purpose) {
  if (error == cudaSuccess) return;
  const ErrorCode code =
      error == cudaErrorMemoryAllocation ? ErrorCode::kOutOfMemory : ErrorCode::kInternal;
  cudaGetLastError();  // Forgets it, where it can be forgotten.
  Fail(code, purpose, ": ", call, ": ", cudaGetErrorString(error), " (", cudaGetErrorName(error),
       ")");
}

}  // namespace conclave::cuda
