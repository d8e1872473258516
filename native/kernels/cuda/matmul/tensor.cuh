#pragma once

// Products of bf16 by tensor cores, sums in f32; rows are gathered, and gated products activated,
// inside.

#include "kernels/cuda/matmul/activation.h"
#include "kernels/cuda/matmul/weight_tile.cuh"

namespace conclave::cuda {

// A block takes kRows entries and 64 columns of the output, each of its four warps all entries and
// 16 columns. kStages buffers: copies of the next parts of the depth are under way while one is
// multiplied.
template <typename Tile, bool kGated, int kRows>
struct TensorProduct {
  static constexpr int kStages = kRows == 16 ? 4 : 3;
  static constexpr int kColsPerWarp = 16, kRowTiles = kRows / 16, kMatrices = kGated ? 2 : 1;
  static constexpr int kInputBytes = kRows * kTileDepth * 2;
  static constexpr int kStageBytes = kInputBytes + kMatrices * Tile::kBytes;
  static constexpr size_t kSharedBytes = size_t{kStages} * kStageBytes;
  static_assert(kStageBytes % 16 == 0);
  // Of a row tile of 16 and a column tile of 8.
  using Sums = float[kMatrices][kRowTiles][2][4];

  static __device__ __forceinline__ void Load(const ProductArguments& p, const ProductPart& part,
                                              int first_col, int depth, unsigned char* stage) {
    const auto* const input = static_cast<const Bf16*>(p.input);
    const int chunk = static_cast<int>(threadIdx.x) % 8;
    const int k = depth + chunk * 8;
    for (int row = static_cast<int>(threadIdx.x) / 8; row < kRows; row += kTileThreads / 8) {
      const int64_t entry = part.begin + row;
      const bool inside = k < p.input_stride && entry < part.end;
      CopyAsync16(stage + SwizzledPlace(row, chunk),
                  inside ? input + InputRow(p, entry) * p.input_stride + k : input, inside);
    }
    for (int m = 0; m < kMatrices; ++m) {
      Tile::Load(m == 0 ? part.matrices->weights : part.matrices->gates, first_col, p.cols, depth,
                 stage + kInputBytes + m * Tile::kBytes);
    }
  }

  // sums += input of the stage times weights of the stage, for steps [first, end) of 16.
  static __device__ __forceinline__ void Accumulate(const unsigned char* stage, int first, int end,
                                                    Sums& sums) {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int k = first; k < end; ++k) {
      uint32_t a[kRowTiles][4];
#pragma unroll
      for (int i = 0; i < kRowTiles; ++i)
        LoadMatrix4(a[i], stage + SwizzledPlace(i * 16 + lane % 16, k * 2 + lane / 16));
#pragma unroll
      for (int m = 0; m < kMatrices; ++m) {
        uint32_t b[4];
        Tile::Fragments(stage + kInputBytes + m * Tile::kBytes, warp * kColsPerWarp, k, b);
#pragma unroll
        for (int i = 0; i < kRowTiles; ++i) {
          MultiplyAccumulate(sums[m][i][0], a[i], b[0], b[1]);
          MultiplyAccumulate(sums[m][i][1], a[i], b[2], b[3]);
        }
      }
    }
  }

  // sums += scale * (part of a group of codes, less what their zeros are off by).
  static __device__ __forceinline__ void AddScaled(const ProductArguments& p,
                                                   const ProductPart& part,
                                                   const unsigned char* stage, int64_t depth_group,
                                                   int group, const Sums& parts, Sums& sums) {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int m = 0; m < kMatrices; ++m) {
      const unsigned char* const tile = stage + kInputBytes + m * Tile::kBytes;
#pragma unroll
      for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          const int col = warp * kColsPerWarp + j * 8 + lane % 4 * 2 + c;
          const float scale = Tile::ScaleOf(tile, col, group);
#pragma unroll
          for (int i = 0; i < kRowTiles; ++i) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
              float value = parts[m][i][j][half * 2 + c];
              if constexpr (Tile::kHasZeros) {
                const int64_t entry = part.begin + i * 16 + lane / 4 + half * 8;
                const bool inside = entry < part.end && depth_group < p.sum_stride;
                const float sum =
                    inside ? p.input_sums[InputRow(p, entry) * p.sum_stride + depth_group] : 0;
                value = MultiplyAdd(8 - Tile::ZeroOf(tile, col, group), sum, value);
              }
              sums[m][i][j][half * 2 + c] = MultiplyAdd(value, scale, sums[m][i][j][half * 2 + c]);
            }
          }
        }
      }
    }
  }

  static __device__ __forceinline__ void Store(const ProductArguments& p, const ProductPart& part,
                                               int first_col, const Sums& sums) {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const GroupMatrices& matrices = *part.matrices;
#pragma unroll
    for (int at = 0; at < kRowTiles * 8; ++at) {
      const int i = at / 8, j = at / 4 % 2, r = at % 4;
      const int64_t entry = part.begin + i * 16 + lane / 4 + r / 2 * 8;
      const int col = first_col + warp * kColsPerWarp + j * 8 + lane % 4 * 2 + r % 2;
      if (entry >= part.end || col >= (kGated ? p.output_stride : p.cols)) continue;
      const int64_t to = entry * p.output_stride + col;
      if (kGated && col >= p.cols) {
        static_cast<Bf16*>(p.output)[to] = Bf16{0};
        continue;
      }
      float y = sums[0][i][j][r];
      if (matrices.bias != nullptr) y += matrices.bias[col];
      if constexpr (kGated) {
        float gate = sums[1][i][j][r];
        if (matrices.gate_bias != nullptr) gate += matrices.gate_bias[col];
        static_cast<Bf16*>(p.output)[to] = ToBf16(Activate(p.activation, gate, y));
      } else {
        static_cast<float*>(p.output)[to] = y;
      }
    }
  }

  static __device__ __forceinline__ void Run(const ProductArguments& p) {
    unsigned char* const shared = SharedMemory();
    const ProductPart part = PartOf(p, kRows);
    const int first_col = static_cast<int>(blockIdx.x) * kTileCols;
    const int steps = (p.depth + kTileDepth - 1) / kTileDepth;
    const auto load = [&](int step) {
      if (step < steps)
        Load(p, part, first_col, step * kTileDepth, shared + step % kStages * kStageBytes);
      CommitCopies();
    };
    Sums sums = {};
    for (int step = 0; step < kStages - 1; ++step) load(step);
    for (int step = 0; step < steps; ++step) {
      WaitCopies<kStages - 2>();
      __syncthreads();  // This step's copies are in, and all threads are done with the step before.
      load(step + kStages - 1);
      const unsigned char* const stage = shared + step % kStages * kStageBytes;
      if constexpr (Tile::kScaled) {
#pragma unroll
        for (int group = 0; group < kGroupsOfTile; ++group) {
          Sums parts = {};
          Accumulate(stage, group * 2, group * 2 + 2, parts);
          AddScaled(p, part, stage, int64_t{step} * kGroupsOfTile + group, group, parts, sums);
        }
      } else {
        Accumulate(stage, 0, kTileDepth / 16, sums);
      }
    }
    WaitCopies<0>();
    Store(p, part, first_col, sums);
  }
};

template <typename Tile, bool kGated, int kRows>
__global__ void __launch_bounds__(kTileThreads, 3)
    MultiplyByTensorCores(const __grid_constant__ ProductArguments p) {
  TensorProduct<Tile, kGated, kRows>::Run(p);
}

}  // namespace conclave::cuda
