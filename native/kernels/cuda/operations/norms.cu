// Norms of rows, and the grids of their sums. Sums in f64: grids must be the same on every device.

#include "conclave/base/exact_sum.h"
#include "conclave/base/expect.h"
#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

struct NormArguments {
  const float* x;       // [rows, stride]
  const float* weight;  // [width]
  const float* bias;    // [width]; null: none
  float* output;        // [rows, stride]; may be x
  int32_t* exponents;   // [rows]; null: no grid is asked for
  int64_t width;
  int64_t stride;
  float epsilon;
  int grid_bits;
};

// floor(log2(sqrt(mean of squares + epsilon))) - bits; see exact_sum.h.
__device__ __forceinline__ int32_t GridOf(double mean_square, float epsilon, int bits) {
  double mean = mean_square + double{epsilon};
  // A row of zeros without epsilon, and one that is not finite, get the ends of the range.
  if (mean != mean) return 126 - bits;
  mean = mean < 0x1p-252 ? 0x1p-252 : mean > 0x1p252 ? 0x1p252 : mean;
  return ilogb(sqrt(mean)) - bits;
}

// output[r] = (x[r] - mean) / sqrt(mean square or variance + epsilon) * weight + bias, where RMS
// norms take no mean off. A block for each row; as many threads for a width, whatever the rows.
template <bool kCentred>
__global__ void Normalise(NormArguments n) {
  auto* const shared = reinterpret_cast<double*>(SharedMemory());  // [threads]
  const float* const x = n.x + blockIdx.x * n.stride;
  float* const output = n.output + blockIdx.x * n.stride;
  const auto count = static_cast<double>(n.width);
  double sum = 0, squares = 0;
  for (int64_t i = threadIdx.x; i < n.width; i += blockDim.x) {
    if (kCentred) sum += double{x[i]};
    squares += double{x[i]} * double{x[i]};
  }
  squares = BlockSum(squares, shared) / count;
  if (threadIdx.x == 0 && n.exponents != nullptr)
    n.exponents[blockIdx.x] = GridOf(squares, n.epsilon, n.grid_bits);
  double mean = 0;
  if (kCentred) {
    mean = BlockSum(sum, shared) / count;
    double deviations = 0;
    for (int64_t i = threadIdx.x; i < n.width; i += blockDim.x)
      deviations += (double{x[i]} - mean) * (double{x[i]} - mean);
    squares = BlockSum(deviations, shared) / count;
  }
  const auto scale = static_cast<float>(1 / sqrt(squares + double{n.epsilon}));
  const auto centre = static_cast<float>(mean);
  for (int64_t i = threadIdx.x; i < n.width; i += blockDim.x) {
    const float y = (kCentred ? x[i] - centre : x[i]) * scale * n.weight[i];
    output[i] = n.bias != nullptr ? y + n.bias[i] : y;
  }
}

template <bool kCentred>
void Run(Stream& stream, int64_t rows, const NormArguments& arguments) {
  Expect(arguments.width >= 1, "norm.width", "1 or more", arguments.width);
  const unsigned threads = arguments.width <= 256 ? 32 : 256;
  Launch<Normalise<kCentred>>(stream, "norm", {.x = rows}, threads, threads * sizeof(double),
                              arguments);
}

NormArguments ArgumentsOf(const Tensor& x, const Vector& weight, const Vector* bias, float epsilon,
                          const Tensor& output, const GridOutput* grid) {
  return {.x = DevicePointer(x),
          .weight = DevicePointer(weight),
          .bias = DevicePointer(bias),
          .output = DevicePointer(output),
          .exponents = grid != nullptr ? DevicePointer(grid->exponents) : nullptr,
          .width = weight.size(),
          .stride = x.width,
          .epsilon = epsilon,
          .grid_bits = grid != nullptr ? grid->bits : 0};
}

}  // namespace

void CudaBackend::RmsNorm(const Tensor& x, const Vector& weight, float epsilon,
                          const Tensor& output, const GridOutput* grid) {
  Run<false>(stream_, x.rows, ArgumentsOf(x, weight, nullptr, epsilon, output, grid));
}

void CudaBackend::LayerNorm(const Tensor& x, const Vector& weight, const Vector* bias,
                            float epsilon, const Tensor& output, const GridOutput* grid) {
  Run<true>(stream_, x.rows, ArgumentsOf(x, weight, bias, epsilon, output, grid));
}

}  // namespace conclave::cuda
