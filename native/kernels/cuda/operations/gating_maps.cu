// Operations element by element that pass numbers through sigmoids and exponentials.

#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

__device__ __forceinline__ float SigmoidOf(float x) { return 1 / (1 + expf(-x)); }

struct MultiplyBySigmoid {
  float* x;
  const float* gate;
  int64_t per_gate;  // elements of x that one of gate is for
  __device__ void operator()(int64_t i) const { x[i] *= SigmoidOf(gate[i / per_gate]); }
};

struct MultiplyByFactors {
  float* x;
  const float* factors;
  int64_t per_factor;  // elements of x that one of them is for
  __device__ void operator()(int64_t i) const { x[i] *= factors[i / per_factor]; }
};

struct MultiplyBySilu {
  float* x;
  const float* gate;
  __device__ void operator()(int64_t i) const { x[i] *= gate[i] / (1 + expf(-gate[i])); }
};

struct ToSigmoid {
  float* x;
  __device__ void operator()(int64_t i) const { x[i] = SigmoidOf(x[i]); }
};

struct ToSoftplus {
  float* x;
  const float* bias;  // [width]
  int64_t width;
  float least;
  float most;
  __device__ void operator()(int64_t i) const {
    const float shifted = x[i] + bias[i % width];
    // Above 20 the logarithm is the exponent.
    const float softplus = shifted > 20 ? shifted : log1pf(expf(shifted));
    const float raised = softplus < least ? least : softplus;
    x[i] = raised > most ? most : raised;
  }
};

struct ToDecay {
  const float* x;
  const float* rates;  // [width]
  int64_t width;
  float* output;
  __device__ void operator()(int64_t i) const { output[i] = expf(rates[i % width] * x[i]); }
};

}  // namespace

void CudaBackend::ScaleBySigmoid(const Tensor& gate, const Tensor& x) {
  if (x.elements() == 0) return;
  LaunchElements(stream_, "scale by sigmoids", x.elements(),
                 MultiplyBySigmoid{DevicePointer(x), DevicePointer(gate), x.width / gate.width});
}

void CudaBackend::Multiply(const Tensor& factors, const Tensor& x) {
  if (x.elements() == 0) return;
  LaunchElements(
      stream_, "scale by factors", x.elements(),
      MultiplyByFactors{DevicePointer(x), DevicePointer(factors), x.width / factors.width});
}

void CudaBackend::ScaleBySilu(const Tensor& gate, const Tensor& x) {
  LaunchElements(stream_, "scale by silu", x.elements(),
                 MultiplyBySilu{DevicePointer(x), DevicePointer(gate)});
}

void CudaBackend::Sigmoid(const Tensor& x) {
  LaunchElements(stream_, "sigmoid", x.elements(), ToSigmoid{DevicePointer(x)});
}

void CudaBackend::Softplus(const Vector& bias, float least, float most, const Tensor& x) {
  LaunchElements(stream_, "softplus", x.elements(),
                 ToSoftplus{DevicePointer(x), DevicePointer(bias), x.width, least, most});
}

void CudaBackend::Decay(const Tensor& x, const Vector& rates, const Tensor& output) {
  LaunchElements(stream_, "decay", x.elements(),
                 ToDecay{DevicePointer(x), DevicePointer(rates), x.width, DevicePointer(output)});
}

}  // namespace conclave::cuda
