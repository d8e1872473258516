#pragma once

#include "kernels/cuda/backend/weights.h"
#include "kernels/cuda/device/device.h"

namespace conclave::cuda {

// Entries [begin, end) of a list of rows go through the matrices of a group.
struct GroupTile {
  int32_t group;
  int32_t begin;
  int32_t end;
};

// A matrix of a group, and where products are gated, the gate's.
struct GroupMatrices {
  MatrixView weights{};
  MatrixView gates{};
  const float* bias = nullptr;       // [cols of output]; null: none
  const float* gate_bias = nullptr;  // likewise
};

// output[e] = x W^T + bias, or act(x G^T + gate_bias, x W^T + bias), with x = input[row of e].
// Every element is the same function of its row of x and of the matrices whatever else is in the
// tile.
struct ProductArguments {
  const GroupTile* tiles;       // null: `entries` rows of one group, by as many as a block takes
  int64_t entries;              // where there are no tiles
  const GroupMatrices* groups;  // null: `single` is all
  GroupMatrices single;
  const int32_t* entry_rows;  // row of input of each entry; null: entry e reads row e
  const void* input;          // [rows, input_stride], f32 for exact products, else bf16
  int64_t input_stride;       // elements; of bf16, a multiple of 8, zeros from `depth` on
  const float* input_sums;    // [rows, groups of 32 columns] of kQ4Zeros
  int64_t sum_stride;
  void* output;           // [entries, output_stride], f32; gated products as the input
  int64_t output_stride;  // gated bf16 products write zeros from `cols` on
  int depth;
  int cols;
  ActivationParams activation;
};

// The part of a product that a block takes.
struct ProductPart {
  const GroupMatrices* matrices;
  int64_t begin;  // entries
  int64_t end;
};

__device__ __forceinline__ ProductPart PartOf(const ProductArguments& p, int rows_of_tile) {
  if (p.tiles == nullptr) {
    const int64_t begin = int64_t{blockIdx.y} * rows_of_tile;
    const int64_t end = begin + rows_of_tile;
    return {&p.single, begin, end < p.entries ? end : p.entries};
  }
  const GroupTile tile = p.tiles[blockIdx.y];
  return {p.groups != nullptr ? p.groups + tile.group : &p.single, tile.begin, tile.end};
}

__device__ __forceinline__ int64_t InputRow(const ProductArguments& p, int64_t entry) {
  return p.entry_rows != nullptr ? p.entry_rows[entry] : entry;
}

}  // namespace conclave::cuda
