#include "kernels/cuda/backend/cache.h"

#include "conclave/base/expect.h"
#include "conclave/base/message.h"

namespace conclave::cuda {
namespace {

int KeyStride(const KvCacheShape& shape, KvType type) {
  return type == KvType::kBF16 ? (shape.head_dim + 1) / 2 * 2 : shape.head_dim;
}

int ValueStride(const KvCacheShape& shape) {
  return shape.values_inside > 0 ? 0 : (shape.value_width() + 15) / 16 * 16;
}

// Factors that may be large: their product, or kOutOfMemory.
size_t Product(const char* what, std::initializer_list<int64_t> factors) {
  size_t bytes = 1;
  for (const int64_t factor : factors) {
    if (__builtin_mul_overflow(bytes, static_cast<size_t>(factor), &bytes))
      Fail(ErrorCode::kOutOfMemory, what, ": its size exceeds the address space");
  }
  return bytes;
}

}  // namespace

size_t CudaCache::BytesFor(const KvCacheShape& shape, KvType type) {
  Expect(shape.blocks >= 1 && shape.blocks <= INT32_MAX, "cache.blocks", "1 to 2^31 - 1",
         shape.blocks);
  Expect(shape.block_size >= 1 && shape.block_size <= 4096, "cache.blockSize", "1 to 4096",
         shape.block_size);
  Expect(shape.kv_heads >= 1 && shape.kv_heads <= 4096, "cache.kvHeads", "1 to 4096",
         shape.kv_heads);
  Expect(shape.head_dim >= 1 && shape.head_dim <= 1024, "cache.headDim", "1 to 1024",
         shape.head_dim);
  Expect(shape.values_inside >= 0 && shape.values_inside <= shape.head_dim, "cache.valuesInside",
         "0 or up to the head dimension", shape.values_inside);
  return Product("cache",
                 {shape.blocks, shape.block_size, shape.kv_heads,
                  KeyStride(shape, type) + ValueStride(shape), type == KvType::kBF16 ? 2 : 4});
}

// Zeros, as positions that a row does not see are read with those that it does.
CudaCache::CudaCache(const KvCacheShape& shape, KvType type)
    : shape_(shape), type_(type), memory_(BytesFor(shape, type), "cache of keys and values") {
  ZeroDevice(memory_.as(), memory_.bytes(), "cache of keys and values");
}

CacheView CudaCache::view() const {
  return {.data = memory_.as(),
          .block_size = shape_.block_size,
          .kv_heads = shape_.kv_heads,
          .key_stride = KeyStride(shape_, type_),
          .value_stride = ValueStride(shape_),
          .bf16 = type_ == KvType::kBF16};
}

size_t CudaStates::BytesFor(const StateShape& shape) {
  return Product("states", {shape.slots, shape.elements, int64_t{sizeof(float)}});
}

}  // namespace conclave::cuda
