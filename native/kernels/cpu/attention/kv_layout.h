#pragma once

// Where the cache keeps what. A block of one head is cut into groups of 16 positions, the lanes of
// a vector: scores of 16 positions are sums over d of q[d] * keys[d][lane], values are added up row
// by row, and neither needs a sum across lanes.
//
//   cache [blocks][kv_heads][groups per block][keys, then values]
//   f32   keys [head_dim][16]               values [16][value_dims]
//   bf16  keys [ceil(head_dim / 2)][16][2]  values [8][value_dims][2]     (pairs along the axis
//   that is summed)
//
// value_dims is head_dim rounded up to 16. Positions of a last group beyond block_size, and
// padding, stay 0.

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/attention/kernel.h"
#include "kernels/cpu/ops.h"

namespace conclave {

struct KvLayout {
  int block_size;
  int kv_heads;
  int head_dim;
  bool bf16;
  int groups_per_block;
  int value_dims;
  int pair;             // Elements per lane.
  int64_t key_bytes;    // Of the keys of a group.
  int64_t group_bytes;  // Keys and values.

  KvLayout(const KvCacheShape& shape, KvType type)
      : block_size(shape.block_size),
        kv_heads(shape.kv_heads),
        head_dim(shape.head_dim),
        bf16(type == KvType::kBF16),
        groups_per_block((shape.block_size + kGroupPositions - 1) / kGroupPositions),
        value_dims((shape.head_dim + 15) / 16 * 16),
        pair(bf16 ? 2 : 1),
        key_bytes(int64_t{(shape.head_dim + pair - 1) / pair} * kGroupPositions * kLaneBytes),
        group_bytes(key_bytes + int64_t{kGroupPositions / pair} * value_dims * kLaneBytes) {}

  int64_t block_bytes() const { return int64_t{kv_heads} * groups_per_block * group_bytes; }

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
    return block * block_bytes() + (int64_t{head} * groups_per_block + group) * group_bytes;
  }
};

}  // namespace conclave
