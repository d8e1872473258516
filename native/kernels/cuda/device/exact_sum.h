#pragma once

#include "kernels/cuda/device/device.h"

namespace conclave::cuda {

// A term in steps of the grid 2^exponent, to nearest even; see base/exact_sum.h.
__device__ __forceinline__ double Steps(float term, int32_t exponent) {
  return rint(scalbn(double{term}, -exponent));
}

}  // namespace conclave::cuda
