// The residual's parallel streams: what they give to a block's input, and take of its output.

#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

// A thread for each row: there are few weights, and each depends on all others.
struct Weigh {
  StreamParams params;
  const float* base;
  const float* scale;
  float* x;
  int64_t width;

  __device__ static void Normalise(float epsilon, int n, int step, float* x) {
    float sum = 0;
    for (int i = 0; i < n; ++i) sum += x[i * step];
    for (int i = 0; i < n; ++i) x[i * step] /= sum + epsilon;
  }

  __device__ void Balance(float* x) const {
    const int n = params.streams;
    for (int j = 0; j < n; ++j) {
      float* const row = x + j * n;
      float highest = row[0];
      for (int k = 1; k < n; ++k) highest = fmaxf(highest, row[k]);
      for (int k = 0; k < n; ++k) row[k] = expf(row[k] - highest);
      Normalise(0, n, 1, row);
      for (int k = 0; k < n; ++k) row[k] += params.epsilon;
    }
    for (int iteration = 0; iteration < params.iterations; ++iteration) {
      for (int j = 0; iteration > 0 && j < n; ++j) Normalise(params.epsilon, n, 1, x + j * n);
      for (int k = 0; k < n; ++k) Normalise(params.epsilon, n, n, x + k);
    }
  }

  __device__ void operator()(int64_t r) const {
    const int n = params.streams;
    float* const row = x + r * width;
    for (int i = 0; i < width; ++i) {
      const float y = scale[i < n ? 0 : i < 2 * n ? 1 : 2] * row[i] + base[i];
      row[i] = i < n ? 1 / (1 + expf(-y)) + params.epsilon : i < 2 * n ? 2 / (1 + expf(-y)) : y;
    }
    if (width > n) Balance(row + 2 * n);
  }
};

struct Read {
  int streams;
  const float* weights;
  int64_t weights_width;
  const float* x;
  float* output;
  int64_t width;
  __device__ void operator()(int64_t i) const {
    const int64_t row = i / width, column = i % width;
    float sum = 0;
    for (int j = 0; j < streams; ++j)
      sum += weights[row * weights_width + j] * x[(row * streams + j) * width + column];
    output[i] = sum;
  }
};

// A thread for the elements of all streams in one column.
struct Write {
  int streams;
  const float* weights;
  int64_t weights_width;
  const float* y;
  float* x;
  int64_t width;
  __device__ void operator()(int64_t i) const {
    const int64_t row = i / width, column = i % width;
    const float* const by = weights + row * weights_width + streams;
    float* const first = x + row * streams * width + column;
    // Unrolled, so that what is mixed stays in registers.
    float mixed[kMaxStreams];
#pragma unroll
    for (int k = 0; k < kMaxStreams; ++k) {
      if (k >= streams) continue;
      mixed[k] = by[k] * y[i];
      for (int j = 0; j < streams; ++j)
        mixed[k] += by[streams + j * streams + k] * first[j * width];
    }
#pragma unroll
    for (int k = 0; k < kMaxStreams; ++k)
      if (k < streams) first[k * width] = mixed[k];
  }
};

}  // namespace

void CudaBackend::WeighStreams(const StreamParams& params, const Vector& base, const Vector& scale,
                               const Tensor& x) {
  LaunchElements(
      stream_, "weights of streams", x.rows,
      Weigh{params, DevicePointer(base), DevicePointer(scale), DevicePointer(x), x.width});
}

void CudaBackend::ReadStreams(const StreamParams& params, const Tensor& weights, const Tensor& x,
                              const Tensor& output) {
  LaunchElements(stream_, "sum of streams", output.elements(),
                 Read{params.streams, DevicePointer(weights), weights.width, DevicePointer(x),
                      DevicePointer(output), output.width});
}

void CudaBackend::WriteStreams(const StreamParams& params, const Tensor& weights, const Tensor& y,
                               const Tensor& x) {
  LaunchElements(stream_, "mix of streams", y.elements(),
                 Write{params.streams, DevicePointer(weights), weights.width, DevicePointer(y),
                       DevicePointer(x), y.width});
}

}  // namespace conclave::cuda
