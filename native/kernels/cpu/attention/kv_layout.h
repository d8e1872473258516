#pragma once

// Where the cache keeps what. A block of one head is cut into groups of up to 16 positions, the
// lanes of a vector: scores of 16 positions are sums over d of q[d] * keys[d][lane], values are
// added up row by row, and neither needs a sum across lanes.
//
//   cache [blocks][kv_heads][groups of the block][keys, then values]
//   f32   keys [head_dim][lanes]               values [lanes][value_dims]
//   bf16  keys [ceil(head_dim / 2)][lanes][2]  values [floor(lanes / 2)][value_dims][2], and
//         [value_dims] for an odd last lane       (pairs along the axis that is summed)
//
// Values that are inside keys have no room of their own.
//
// All groups of a block have 16 lanes but the last, which has what is left of block_size: blocks of
// any size take what their positions take. A vector of such a group's keys reads on into what
// follows; those lanes are masked. value_dims is the width of a value rounded up to 16; padding
// stays 0.

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/attention/kernel.h"
#include "kernels/cpu/ops.h"

namespace conclave {

// Bytes beyond the last group that a vector of its keys may read.
inline constexpr int64_t kReadAhead = kGroupPositions * kLaneBytes;

struct KvLayout {
  int block_size;
  int kv_heads;
  int head_dim;
  bool bf16;
  int groups_per_block;
  int value_dims;
  int pair;      // Elements per lane.
  int key_rows;  // Rows of lanes that hold the keys of a group.
  int values_inside;
  int value_width;

  KvLayout(const KvCacheShape& shape, KvType type)
      : block_size(shape.block_size),
        kv_heads(shape.kv_heads),
        head_dim(shape.head_dim),
        bf16(type == KvType::kBF16),
        groups_per_block((shape.block_size + kGroupPositions - 1) / kGroupPositions),
        value_dims((shape.value_width() + 15) / 16 * 16),
        pair(bf16 ? 2 : 1),
        key_rows((shape.head_dim + pair - 1) / pair),
        values_inside(shape.values_inside),
        value_width(shape.value_width()) {}

  // Of one position of one head.
  int64_t position_bytes() const {
    const int64_t values = values_inside > 0 ? 0 : int64_t{value_dims} * kLaneBytes / pair;
    return int64_t{key_rows} * kLaneBytes + values;
  }
  int64_t block_bytes() const { return int64_t{kv_heads} * block_size * position_bytes(); }
  // Of the keys of a group.
  int64_t KeyBytes(int lanes) const { return int64_t{key_rows} * lanes * kLaneBytes; }
  // Whether every group has 16 lanes.
  bool whole_groups() const { return block_size % kGroupPositions == 0; }

  // Number of the group of a position, counted from the start of its sequence.
  int64_t GroupOf(int64_t position) const {
    return position / block_size * groups_per_block + position % block_size / kGroupPositions;
  }
  // Positions in a group of a block: 16 but in the last one.
  int PositionsIn(int group) const {
    const int rest = block_size - group * kGroupPositions;
    return rest < kGroupPositions ? rest : kGroupPositions;
  }
  // Offset of the keys of a group of a block.
  int64_t GroupOffset(int64_t block, int head, int group) const {
    const int64_t positions =
        (block * kv_heads + head) * block_size + int64_t{group} * kGroupPositions;
    return positions * position_bytes();
  }
};

}  // namespace conclave
