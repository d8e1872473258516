#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "conclave/backend/cache.h"

namespace conclave {

// The cache of one layer and head range.
class KvCache final : public PagedCache {
 public:
  // Takes all of its memory at once: throws kOutOfMemory now rather than fail in a later step.
  KvCache(const KvCacheShape& shape, KvType type);
  const KvCacheShape& shape() const { return shape_; }
  KvType type() const { return type_; }
  size_t bytes() const override { return bytes_; }
  uint8_t* data() { return storage_.get(); }
  const uint8_t* data() const { return storage_.get(); }

  // Bytes that a cache of this shape takes: positions * heads * (key + value), where values are
  // padded to 16 elements and, in bf16, keys to 2. Values inside keys take nothing.
  // proto/model/cache.ts says the same.
  static size_t BytesFor(const KvCacheShape& shape, KvType type);

 private:
  struct Unmap {
    size_t bytes;
    void operator()(uint8_t* memory) const;
  };
  KvCacheShape shape_;
  KvType type_;
  size_t bytes_;
  std::unique_ptr<uint8_t, Unmap> storage_;
};

}  // namespace conclave
