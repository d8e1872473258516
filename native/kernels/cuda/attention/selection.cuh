#pragma once

// Which positions rows read: scores, the best of each block of positions, and the blocks that are
// kept.

#include "kernels/cuda/attention/arguments.h"
#include "kernels/cuda/device/reduce.h"

namespace conclave::cuda {

struct SelectionArguments {
  SelectionParams params;
  CacheView cache;
  const float* q;        // [rows, heads * head_dim]
  const float* weights;  // [rows, heads]; null: each head selects by itself
  const int32_t* positions;
  const int32_t* row_sequences;
  const int32_t* block_tables;
  const int32_t* block_offsets;
  int selectors;
  int64_t first_row;  // of the launch
  int64_t longest;    // positions of the longest row
  int64_t blocks;     // of so many
  float* scores;      // [rows of the launch, selectors, longest]
  float* best;        // [rows of the launch, selectors, blocks]
  int32_t* kept;      // likewise, 0 or 1
  int64_t words;      // of a selector
  int32_t* output;    // [rows, selectors * words]

  // Of selector i of the launch.
  __device__ int64_t RowOf(int64_t i) const { return first_row + i / selectors; }
  __device__ int64_t PositionsOf(int64_t i) const {
    return (int64_t{positions[RowOf(i)]} + 1) / params.span;
  }
  __device__ int64_t BlocksOf(int64_t i) const {
    return (PositionsOf(i) + params.block_size - 1) / params.block_size;
  }
};

template <typename Element>
struct ScorePositions {
  SelectionArguments a;

  __device__ void operator()(int64_t at) const {
    const int64_t i = at / a.longest, position = at % a.longest, row = a.RowOf(i);
    if (position >= a.PositionsOf(i)) return;
    const int dims = a.params.head_dim;
    const int32_t* const table = a.block_tables + a.block_offsets[a.row_sequences[row]];
    const Element* const key =
        static_cast<const Element*>(a.cache.data) + CacheIndex(a.cache, table, position, 0, false);
    const float* const query = a.q + row * a.params.heads * dims;
    float score = 0;
    for (int head = 0; head < a.params.heads; ++head) {
      if (a.weights == nullptr && head != i % a.selectors) continue;
      float product = 0;
      for (int d = 0; d < dims; ++d)
        product = MultiplyAdd(query[head * dims + d], ToFloat(key[d]), product);
      score = a.weights == nullptr
                  ? product
                  : MultiplyAdd(a.weights[row * a.params.heads + head], fmaxf(product, 0), score);
    }
    a.scores[at] = score;
  }
};

struct FindBest {
  SelectionArguments a;

  __device__ void operator()(int64_t at) const {
    const int64_t i = at / a.blocks, block = at % a.blocks;
    if (block >= a.BlocksOf(i)) return;
    const int64_t first = block * a.params.block_size, last = first + a.params.block_size;
    const int64_t end = last < a.PositionsOf(i) ? last : a.PositionsOf(i);
    float best = -kInfinity;
    for (int64_t position = first; position < end; ++position) {
      const float score = a.scores[i * a.longest + position];
      best = score > best ? score : best;
    }
    a.best[at] = block >= a.BlocksOf(i) - a.params.latest ? kInfinity : best;
  }
};

// Numbers in the order of their keys; -0 is 0.
__device__ __forceinline__ uint32_t OrderOf(float value) {
  const float zeroed = value + 0.0f;
  uint32_t bits;
  memcpy(&bits, &zeroed, 4);
  return bits ^ ((bits >> 31) != 0 ? 0xFFFFFFFF : 0x80000000);
}

// One warp for each selector of the launch: the least key among the kept is found bit by bit; of
// blocks with that key the earlier ones are kept.
__global__ void KeepBlocks(SelectionArguments a) {
  const int64_t i = blockIdx.x, blocks = a.BlocksOf(i);
  const auto lane = static_cast<int>(threadIdx.x);
  const float* const best = a.best + i * a.blocks;
  const auto count = [&](uint32_t least) {
    float found = 0;  // Whole numbers that f32 holds: there are fewer blocks than 2^24.
    for (int64_t block = lane; block < blocks; block += 32) found += OrderOf(best[block]) >= least;
    return WarpSum(found);
  };
  const auto kept = static_cast<float>(a.params.kept);
  uint32_t least = 0;
  for (uint32_t bit = 0x80000000; bit != 0; bit >>= 1)
    if (count(least | bit) >= kept) least |= bit;
  float room = kept - (least == 0xFFFFFFFF ? 0 : count(least + 1));
  for (int64_t first = 0; first < blocks; first += 32) {
    const int64_t block = first + lane;
    const uint32_t key = block < blocks ? OrderOf(best[block]) : 0;
    const float equal = block < blocks && key == least ? 1 : 0;
    float before = equal;  // and itself
    for (int distance = 1; distance < 32; distance *= 2) {
      const float other = __shfl_sync(kAllLanes, before, lane >= distance ? lane - distance : lane);
      if (lane >= distance) before += other;
    }
    if (block < blocks)
      a.kept[i * a.blocks + block] = key > least || (equal > 0 && before <= room) ? 1 : 0;
    room -= __shfl_sync(kAllLanes, before, 31);
  }
}

// A word each.
struct WriteWords {
  SelectionArguments a;

  __device__ void operator()(int64_t at) const {
    const int64_t i = at / a.words, first = at % a.words * 32;
    uint32_t word = 0;
    for (int64_t position = first; position < first + 32; ++position) {
      if (position >= a.PositionsOf(i)) break;
      if (a.kept[i * a.blocks + position / a.params.block_size] != 0)
        word |= 1u << (position - first);
    }
    a.output[a.first_row * a.selectors * a.words + at] = static_cast<int32_t>(word);
  }
};

}  // namespace conclave::cuda
