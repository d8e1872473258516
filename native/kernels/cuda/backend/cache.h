#pragma once

#include "conclave/backend/cache.h"
#include "kernels/cuda/runtime/runtime.h"

namespace conclave::cuda {

// Keys, then values, of each head of a block: [blocks][kv_heads][block_size][stride]. Strides as
// proto/model/cache.ts says.
struct CacheView {
  void* data;
  int block_size;
  int kv_heads;
  int key_stride;
  int value_stride;  // 0: values are inside keys
  bool bf16;
};

class CudaCache final : public PagedCache {
 public:
  CudaCache(const KvCacheShape& shape, KvType type);
  size_t bytes() const override { return memory_.bytes(); }
  CacheView view() const;

  static size_t BytesFor(const KvCacheShape& shape, KvType type);

 private:
  KvCacheShape shape_;
  KvType type_;
  DeviceBuffer memory_;
};

// [slots, elements].
class CudaStates final : public StateStore {
 public:
  explicit CudaStates(const StateShape& shape)
      : shape_(shape), memory_(BytesFor(shape), "states of sequences") {}
  size_t bytes() const override { return memory_.bytes(); }
  int64_t elements() const { return shape_.elements; }
  float* data() const { return memory_.as<float>(); }

  static size_t BytesFor(const StateShape& shape);

 private:
  StateShape shape_;
  DeviceBuffer memory_;
};

inline CudaStates& OnDevice(StateStore& states) { return static_cast<CudaStates&>(states); }

}  // namespace conclave::cuda
