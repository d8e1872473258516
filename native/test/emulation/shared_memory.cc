#include "emulation/shared_memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace emu {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kGuard = 128;

size_t Mapped(size_t bytes) { return (bytes + kGuard + kPage - 1) / kPage * kPage; }

}  // namespace

SharedMemory::SharedMemory(size_t bytes) : bytes_(bytes) {
#if defined(__SANITIZE_THREAD__)
  // TSan forgets what it knows of memory once that is unmapped.
  data_ = static_cast<unsigned char*>(
      mmap(nullptr, Mapped(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
#else
  data_ = static_cast<unsigned char*>(std::aligned_alloc(kPage, Mapped(bytes)));
#endif
  std::memset(data_, 0xFF, bytes);
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(data_ + bytes, kGuard);
#endif
}

SharedMemory::~SharedMemory() {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(data_ + bytes_, kGuard);
#endif
#if defined(__SANITIZE_THREAD__)
  munmap(data_, Mapped(bytes_));
#else
  std::free(data_);
#endif
}

}  // namespace emu
