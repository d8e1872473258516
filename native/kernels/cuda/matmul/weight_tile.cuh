#pragma once

// Weights of a block's columns in shared memory, for 64 columns of the input, and the fragments
// that a warp's products take of them. One class for each storage, with the same members:
//   kBytes                 of shared memory
//   Load                   starts the copies of a block of kWeightThreads threads
//   Fragments              b of 16 columns from `first` on, for step `k` of 16 of the depth: of
//                          columns 0-7 b[0], b[1], of columns 8-15 b[2], b[3]

#include <type_traits>

#include "kernels/cuda/device/tensor_core.h"
#include "kernels/cuda/matmul/arguments.h"

namespace conclave::cuda {

constexpr int kTileCols = 64;
constexpr int kTileDepth = 64;
constexpr int kTileThreads = 128;
constexpr int kGroupsOfTile = kTileDepth / kQuantisedGroup;

// Where 16 bytes of a row of 128 lie: permuted so that eight rows lie in eight different banks.
__device__ __forceinline__ int SwizzledPlace(int row, int chunk) {
  return row * kTileDepth * 2 + (chunk ^ (row & 7)) * 16;
}

struct Bf16Tile {
  static constexpr bool kScaled = false;
  static constexpr bool kHasZeros = false;
  static constexpr int kBytes = kTileCols * kTileDepth * 2;

  static __device__ __forceinline__ void Load(const MatrixView& matrix, int first_col, int cols,
                                              int depth, unsigned char* shared) {
    const auto* const data = static_cast<const Bf16*>(matrix.data);
    const int chunk = static_cast<int>(threadIdx.x) % 8;
    const int k = depth + chunk * 8;
    for (int col = static_cast<int>(threadIdx.x) / 8; col < kTileCols; col += kTileThreads / 8) {
      const bool inside = k < matrix.stride && first_col + col < cols;
      CopyAsync16(shared + SwizzledPlace(col, chunk),
                  inside ? data + int64_t{first_col + col} * matrix.stride + k : data, inside);
    }
  }

  static __device__ __forceinline__ void Fragments(const unsigned char* shared, int first, int k,
                                                   uint32_t (&b)[4]) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    LoadMatrix4(b, shared + SwizzledPlace(first + lane / 16 * 8 + lane % 8, k * 2 + lane / 8 % 2));
  }
};

// Codes of kBits each, and the scales of their groups. Codes become bf16, which holds them exactly,
// as they go into registers.
template <Storage kStorage>
struct CodeTile {
  static constexpr bool kScaled = true;
  static constexpr bool kHasZeros = kStorage == Storage::kQ4Zeros;
  static constexpr bool kBytewise = kStorage == Storage::kQ8;
  using Scale = std::conditional_t<kBytewise, float, F16>;
  static constexpr int kRowBytes = kBytewise ? kTileDepth : kTileDepth / 2;
  static constexpr int kStride = kRowBytes + 16;  // Of shared rows: eight fall into eight banks.
  static constexpr int kScaleBytes = kGroupsOfTile * kTileCols * static_cast<int>(sizeof(Scale));
  static constexpr int kCodeBytes = kTileCols * kStride;
  static constexpr int kBytes = kCodeBytes + kScaleBytes * (kHasZeros ? 2 : 1);

  static __device__ __forceinline__ void Load(const MatrixView& matrix, int first_col, int cols,
                                              int depth, unsigned char* shared) {
    constexpr int kChunks = kRowBytes / 16;
    constexpr int kPerChunk = kTileDepth / kChunks;
    const auto* const data = static_cast<const unsigned char*>(matrix.data);
    const int chunk = static_cast<int>(threadIdx.x) % kChunks;
    const bool deep = depth + chunk * kPerChunk < matrix.stride;
    for (int col = static_cast<int>(threadIdx.x) / kChunks; col < kTileCols;
         col += kTileThreads / kChunks) {
      const bool inside = deep && first_col + col < cols;
      const int64_t at = int64_t{first_col + col} * matrix.stride + depth + chunk * kPerChunk;
      CopyAsync16(shared + col * kStride + chunk * 16,
                  inside ? data + at * kRowBytes / kTileDepth : data, inside);
    }
    LoadTable(matrix.scales, matrix, first_col, depth, shared + kCodeBytes);
    if constexpr (kHasZeros)
      LoadTable(matrix.zeros, matrix, first_col, depth, shared + kCodeBytes + kScaleBytes);
  }

  static __device__ __forceinline__ void Fragments(const unsigned char* shared, int first, int k,
                                                   uint32_t (&b)[4]) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int pair = lane % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const unsigned char* const row = shared + (first + half * 8 + lane / 4) * kStride;
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        const int at = k * 16 + part * 8 + pair;
        b[half * 2 + part] = PackBf16(Code(row, at), Code(row, at + 1));
      }
    }
  }

  // Of a column, and of a group of the tile.
  static __device__ __forceinline__ float ScaleOf(const unsigned char* shared, int col, int group) {
    return ToFloat(reinterpret_cast<const Scale*>(shared + kCodeBytes)[group * kTileCols + col]);
  }
  static __device__ __forceinline__ float ZeroOf(const unsigned char* shared, int col, int group) {
    const unsigned char* const zeros = shared + kCodeBytes + kScaleBytes;
    return ToFloat(reinterpret_cast<const F16*>(zeros)[group * kTileCols + col]);
  }

 private:
  static __device__ __forceinline__ void LoadTable(const void* table, const MatrixView& matrix,
                                                   int first_col, int depth,
                                                   unsigned char* shared) {
    constexpr int kChunks = kScaleBytes / 16;
    constexpr int kPerGroup = kChunks / kGroupsOfTile;
    const auto thread = static_cast<int>(threadIdx.x);
    if (thread >= kChunks) return;
    const int group = depth / kQuantisedGroup + thread / kPerGroup;
    const int64_t at = int64_t{group} * matrix.scale_stride + first_col;
    const bool inside = group * kQuantisedGroup < matrix.stride;
    const auto* const from = static_cast<const unsigned char*>(table);
    CopyAsync16(
        shared + thread * 16,
        inside ? from + at * static_cast<int64_t>(sizeof(Scale)) + thread % kPerGroup * 16 : from,
        inside);
  }

  // The number that a code stands for, without scale and zero.
  static __device__ __forceinline__ float Code(const unsigned char* row, int at) {
    if constexpr (kBytewise) {
      return static_cast<float>(static_cast<signed char>(row[at]));
    } else {
      const unsigned char byte = row[at / 32 * 16 + at % 16];
      const int code = at % 32 < 16 ? byte & 15 : byte >> 4;
      if constexpr (kStorage != Storage::kQ4Float) return static_cast<float>(code - 8);
      const int exponent = code >> 1 & 3;  // e2m1: sign, exponent, and a bit of the mantissa
      const int mantissa = code & 1;
      const float magnitude = exponent == 0
                                  ? 0.5f * static_cast<float>(mantissa)
                                  : static_cast<float>((2 + mantissa) << exponent) * 0.25f;
      return code < 8 ? magnitude : -magnitude;
    }
  }
};

}  // namespace conclave::cuda
