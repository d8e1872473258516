#pragma once

#include <cstddef>
#include <cstdint>

namespace conclave {

// Keys and values of one layer and one head range: blocks of block_size positions. Values are
// value_dim wide, as wide as keys where that is 0, or the first values_inside elements of keys,
// which take no room of their own.
// Encoding and layout are the backend's matter.
struct KvCacheShape {
  int64_t blocks;
  int block_size;
  int kv_heads;
  int head_dim;
  int values_inside = 0;
  int value_dim = 0;

  int value_width() const {
    return values_inside > 0 ? values_inside : value_dim > 0 ? value_dim : head_dim;
  }
};

// Whether cached keys and values are kept in f32 or rounded to bf16.
enum class KvType { kF32, kBF16 };

// What attention keeps of earlier positions, in blocks that sequences' tables name.
class PagedCache {
 public:
  virtual ~PagedCache() = default;
  virtual size_t bytes() const = 0;
};

// State of a fixed size: so many elements in f32 for each of `slots` sequences.
struct StateShape {
  int64_t slots;
  int64_t elements;
};

// What a recurrence keeps of earlier positions, [slots, elements]: a sequence's is in the slot that
// steps name.
class StateStore {
 public:
  virtual ~StateStore() = default;
  virtual size_t bytes() const = 0;
};

}  // namespace conclave
