// Operations element by element: x[i] becomes a function of itself.

#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

struct ClampTo {
  float* x;
  float limit;
  // A NaN stays one.
  __device__ void operator()(int64_t i) const {
    x[i] = x[i] < -limit ? -limit : x[i] > limit ? limit : x[i];
  }
};

struct MultiplyBy {
  float* x;
  float factor;
  __device__ void operator()(int64_t i) const { x[i] *= factor; }
};

struct MultiplyColumns {
  float* x;
  const float* factors;  // [width]
  int64_t width;
  __device__ void operator()(int64_t i) const { x[i] *= factors[i % width]; }
};

struct CapSoftly {
  float* x;
  float cap;
  __device__ void operator()(int64_t i) const { x[i] = cap * tanhf(x[i] / cap); }
};

struct AddMultiple {
  float* x;
  const float* y;
  float multiplier;
  __device__ void operator()(int64_t i) const { x[i] += multiplier * y[i]; }
};

struct RoundToBf16 {
  float* x;
  __device__ void operator()(int64_t i) const { x[i] = ToFloat(ToBf16(x[i])); }
};

// x[r, i] *= 1 + factor * ln(1 + floor((position[r] + offset) / interval)).
struct MultiplyByPosition {
  float* x;
  const int32_t* positions;  // [rows]
  int64_t width;
  QueryScaling scaling;
  __device__ void operator()(int64_t i) const {
    const int64_t position = int64_t{positions[i / width]} + scaling.offset;
    const auto intervals = static_cast<double>(position / scaling.interval);
    x[i] *= static_cast<float>(1 + double{scaling.factor} * log(1 + intervals));
  }
};

}  // namespace

void CudaBackend::Copy(const Tensor& x, const Tensor& output) {
  if (x.elements() == 0) return;
  stream_.Copy(DevicePointer(output), DevicePointer(x),
               static_cast<size_t>(x.elements()) * sizeof(float), "copy");
}

void CudaBackend::Clamp(const Tensor& x, float limit) {
  LaunchElements(stream_, "clamp", x.elements(), ClampTo{DevicePointer(x), limit});
}

void CudaBackend::Scale(const Tensor& x, float factor) {
  LaunchElements(stream_, "scale", x.elements(), MultiplyBy{DevicePointer(x), factor});
}

void CudaBackend::ScaleColumns(const Vector& factors, const Tensor& x) {
  LaunchElements(stream_, "scale of columns", x.elements(),
                 MultiplyColumns{DevicePointer(x), DevicePointer(factors), x.width});
}

void CudaBackend::Softcap(const Tensor& x, float cap) {
  LaunchElements(stream_, "soft cap", x.elements(), CapSoftly{DevicePointer(x), cap});
}

void CudaBackend::AddScaled(const Tensor& y, float multiplier, const Tensor& x) {
  LaunchElements(stream_, "scaled addition", x.elements(),
                 AddMultiple{DevicePointer(x), DevicePointer(y), multiplier});
}

void CudaBackend::Round(const Tensor& x, ActivationType type) {
  if (type == ActivationType::kF32) return;
  LaunchElements(stream_, "rounding", x.elements(), RoundToBf16{DevicePointer(x)});
}

void CudaBackend::ScaleByPosition(const QueryScaling& scaling, const StepRows& where,
                                  const Tensor& x) {
  LaunchElements(
      stream_, "scale by position", x.elements(),
      MultiplyByPosition{DevicePointer(x), OnDevice(where).positions(), x.width, scaling});
}

}  // namespace conclave::cuda
