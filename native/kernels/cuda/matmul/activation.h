#pragma once

#include "conclave/base/operator_parameters.h"
#include "kernels/cuda/device/device.h"

namespace conclave::cuda {

// See Activation in operator_parameters.h.
__device__ __forceinline__ float Activate(const ActivationParams& params, float gate, float up) {
  const float limit = params.limit;
  float slope = 1;
  switch (params.function) {
    case Activation::kReluSquared:
      // A NaN stays one.
      return up < 0 ? 0 : up * up;
    case Activation::kSilu:
      break;
    case Activation::kGeluTanh:
      slope = 1.5957691216f * (1 + 0.044715f * gate * gate);  // 2 sqrt(2 / pi)
      break;
    case Activation::kClampedSwiglu:
      slope = 1.702f;
      gate = gate > limit ? limit : gate;
      up = (up > limit ? limit : up < -limit ? -limit : up) + 1;
      break;
    case Activation::kClampedSilu:
      gate = gate > limit ? limit : gate;
      up = up > limit ? limit : up < -limit ? -limit : up;
      break;
  }
  return gate / (1 + expf(-slope * gate)) * up;
}

}  // namespace conclave::cuda
