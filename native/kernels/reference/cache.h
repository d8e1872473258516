#pragma once

#include <cstdint>
#include <vector>

#include "conclave/backend/cache.h"
#include "conclave/backend/sequence_rows.h"
#include "conclave/base/number_formats.h"

namespace conclave {

// Where a cache keeps a position of a sequence.
struct CachePlace {
  int64_t block;
  int64_t in_block;
};

inline CachePlace PlaceOf(const SequenceRows& where, size_t sequence, int64_t position,
                          int block_size) {
  const auto entry = static_cast<size_t>(where.block_offsets[sequence] + position / block_size);
  return {where.block_tables[entry], position % block_size};
}

// [blocks][block_size][kv_heads][key, value], rounded to the cache's type; values that
// are inside keys take no room.
class ReferenceCache final : public PagedCache {
 public:
  ReferenceCache(const KvCacheShape& shape, KvType type)
      : shape_(shape),
        type_(type),
        elements_(static_cast<size_t>(shape.blocks * shape.block_size * shape.kv_heads) *
                  Elements(shape)) {}

  // Of one position of one head.
  static size_t Elements(const KvCacheShape& shape) {
    const int values = shape.values_inside > 0 ? 0 : shape.value_width();
    return static_cast<size_t>(shape.head_dim) + static_cast<size_t>(values);
  }

  size_t bytes() const override { return elements_.size() * sizeof(float); }
  const KvCacheShape& shape() const { return shape_; }
  float* Key(int64_t block, int64_t in_block, int head) {
    const int64_t place = (block * shape_.block_size + in_block) * shape_.kv_heads + head;
    return elements_.data() + place * static_cast<int64_t>(Elements(shape_));
  }
  float* Value(int64_t block, int64_t in_block, int head) {
    return Key(block, in_block, head) + (shape_.values_inside > 0 ? 0 : shape_.head_dim);
  }
  float Rounded(float x) const { return type_ == KvType::kBF16 ? Bf16ToFloat(FloatToBf16(x)) : x; }

 private:
  KvCacheShape shape_;
  KvType type_;
  std::vector<float> elements_;
};

}  // namespace conclave
