#pragma once

// Walks through what the cache holds of a sequence, and the kernels that read it.

#include <cstdint>

#include "kernels/cpu/attention/batch.h"
#include "kernels/cpu/attention/kernel.h"
#include "kernels/cpu/attention/kv_layout.h"
#include "kernels/cpu/matmul/matmul.h"

namespace conclave {

// Throws kUnsupported when this CPU lacks the instruction set.
const AttentionKernel& AttentionKernelFor(Isa isa, bool bf16);

// Walks through the groups of a sequence without a division for each.
class GroupCursor {
 public:
  GroupCursor(const KvLayout& layout, int64_t group)
      : layout_(layout),
        block_(group / layout.groups_per_block),
        group_(static_cast<int>(group % layout.groups_per_block)) {}
  void Advance() {
    if (++group_ < layout_.groups_per_block) return;
    group_ = 0;
    ++block_;
  }
  // Entry of the block table, and group of the block.
  int64_t block() const { return block_; }
  int group() const { return group_; }
  int64_t position() const {
    return block_ * layout_.block_size + int64_t{group_} * kGroupPositions;
  }

 private:
  const KvLayout& layout_;
  int64_t block_;
  int group_;
};

}  // namespace conclave
