// Memory of the key/value cache: anonymous pages, huge where the system has them, as a decode step
// walks through all of it.

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "conclave/base/expect.h"
#include "kernels/cpu/attention/kv_layout.h"
#include "kernels/cpu/ops.h"

namespace conclave {

size_t KvCache::BytesFor(const KvCacheShape& shape, KvType type) {
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
  size_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<size_t>(KvLayout(shape, type).block_bytes()),
                             static_cast<size_t>(shape.blocks), &bytes)) {
    throw Error(ErrorCode::kOutOfMemory,
                "cache: " + std::to_string(shape.blocks) + " blocks exceed the address space");
  }
  return bytes;
}

KvCache::KvCache(const KvCacheShape& shape, KvType type)
    : shape_(shape), type_(type), bytes_(BytesFor(shape, type)) {
  const size_t mapped = bytes_ + kReadAhead;
  void* memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error(ErrorCode::kOutOfMemory, "cache: " + std::to_string(bytes_) + " bytes for " +
                                             std::to_string(shape.blocks) +
                                             " blocks: " + std::strerror(errno));
  }
  storage_ = std::unique_ptr<uint8_t, Unmap>(static_cast<uint8_t*>(memory), Unmap{mapped});
#if defined(MADV_HUGEPAGE)
  madvise(memory, bytes_, MADV_HUGEPAGE);
#endif
  std::memset(memory, 0, bytes_);
}

void KvCache::Unmap::operator()(uint8_t* memory) const { munmap(memory, bytes); }

}  // namespace conclave
