#pragma once

// Products in f32: each element of the output is a sum in the order of the columns. For weights
// that are kept as they are; not made for speed.

#include "kernels/cuda/matmul/activation.h"
#include "kernels/cuda/matmul/arguments.h"

namespace conclave::cuda {

// A block takes kRows entries and kCols columns of the output, and a thread one entry and
// kPerThread columns.
template <typename Element, bool kGated>
struct ExactProduct {
  static constexpr int kRows = 16, kCols = 64, kDepth = 32, kThreads = 256, kPerThread = 4;
  static constexpr int kLanes = kCols / kPerThread;
  static constexpr int kStride = kDepth + 1;  // Of shared rows: columns fall into different banks.
  static constexpr int kMatrices = kGated ? 2 : 1;
  static constexpr size_t kSharedBytes = (kRows + kMatrices * kCols) * kStride * sizeof(float);

  static __device__ __forceinline__ void Load(const ProductArguments& p, const ProductPart& part,
                                              int first_col, int depth, float* shared) {
    const auto thread = static_cast<int>(threadIdx.x);
    const int k = depth + thread % kDepth;
    const auto* const input = static_cast<const float*>(p.input);
    for (int row = thread / kDepth; row < kRows; row += kThreads / kDepth) {
      const int64_t entry = part.begin + row;
      const bool inside = entry < part.end && k < p.depth;
      shared[row * kStride + thread % kDepth] =
          inside ? input[InputRow(p, entry) * p.input_stride + k] : 0;
    }
    for (int m = 0; m < kMatrices; ++m) {
      const MatrixView& matrix = m == 0 ? part.matrices->weights : part.matrices->gates;
      float* const to = shared + (kRows + m * kCols) * kStride;
      for (int col = thread / kDepth; col < kCols; col += kThreads / kDepth) {
        const bool inside = first_col + col < p.cols && k < p.depth;
        const int64_t at = int64_t{first_col + col} * matrix.stride + k;
        to[col * kStride + thread % kDepth] =
            inside ? ToFloat(static_cast<const Element*>(matrix.data)[at]) : 0;
      }
    }
  }

  static __device__ __forceinline__ void Run(const ProductArguments& p) {
    auto* const shared = reinterpret_cast<float*>(SharedMemory());
    const ProductPart part = PartOf(p, kRows);
    const int first_col = static_cast<int>(blockIdx.x) * kCols;
    const int row = static_cast<int>(threadIdx.x) / kLanes;
    const int lane = static_cast<int>(threadIdx.x) % kLanes;
    float sums[kMatrices][kPerThread] = {};
    for (int depth = 0; depth < p.depth; depth += kDepth) {
      __syncthreads();  // All threads are done with the part before.
      Load(p, part, first_col, depth, shared);
      __syncthreads();
#pragma unroll
      for (int m = 0; m < kMatrices; ++m) {
        const float* const weights = shared + (kRows + m * kCols) * kStride;
        for (int k = 0; k < kDepth; ++k) {
          const float x = shared[row * kStride + k];
#pragma unroll
          for (int j = 0; j < kPerThread; ++j)
            sums[m][j] = MultiplyAdd(x, weights[(lane + j * kLanes) * kStride + k], sums[m][j]);
        }
      }
    }
    const int64_t entry = part.begin + row;
    if (entry >= part.end) return;
    auto* const output = static_cast<float*>(p.output) + entry * p.output_stride;
    const GroupMatrices& matrices = *part.matrices;
    for (int j = 0; j < kPerThread; ++j) {
      const int col = first_col + lane + j * kLanes;
      if (col >= p.cols) continue;
      const float y = matrices.bias != nullptr ? sums[0][j] + matrices.bias[col] : sums[0][j];
      if constexpr (kGated) {
        const float* const bias = matrices.gate_bias;
        output[col] =
            Activate(p.activation, bias != nullptr ? sums[1][j] + bias[col] : sums[1][j], y);
      } else {
        output[col] = y;
      }
    }
  }
};

template <typename Element, bool kGated>
__global__ void __launch_bounds__(256, 3)
    MultiplyExactly(const __grid_constant__ ProductArguments p) {
  ExactProduct<Element, kGated>::Run(p);
}

}  // namespace conclave::cuda
