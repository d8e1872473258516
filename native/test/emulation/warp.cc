#include "emulation/warp.h"

#include <algorithm>
#include <cstring>
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace emu {

float Bf16ToFloat(uint32_t half) {
  const uint32_t bits = half << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

namespace {

struct MmaOperands {
  float* c;
  const uint32_t* a;
  const uint32_t* b;
};

void MmaWork(void** operands) {
  float a[16][16], b[8][16];
  for (int lane = 0; lane < kWarpSize; ++lane) {
    const auto& o = *static_cast<MmaOperands*>(operands[lane]);
    const int group = lane / 4, pair = lane % 4 * 2;
    for (int h = 0; h < 2; ++h) {
      for (int r = 0; r < 4; ++r)
        a[group + r % 2 * 8][pair + r / 2 * 8 + h] = Bf16ToFloat(o.a[r] >> 16 * h & 0xFFFF);
      for (int r = 0; r < 2; ++r)
        b[group][pair + r * 8 + h] = Bf16ToFloat(o.b[r] >> 16 * h & 0xFFFF);
    }
  }
  for (int lane = 0; lane < kWarpSize; ++lane) {
    const auto& o = *static_cast<MmaOperands*>(operands[lane]);
    for (int r = 0; r < 4; ++r) {
      const int row = lane / 4 + r / 2 * 8, col = lane % 4 * 2 + r % 2;
      for (int k = 0; k < 16; ++k) o.c[r] += a[row][k] * b[col][k];
    }
  }
  ++statistics().multiply_accumulates;
}

struct MatrixOperands {
  const void* row;
  unsigned char data[16];
  uint32_t* output;
};

template <bool kTransposed>
void MatrixWork(void** operands) {
  const auto of = [&](int lane) { return static_cast<MatrixOperands*>(operands[lane]); };
  for (int m = 0; m < 4; ++m) {
    unsigned banks[8] = {};
    for (int r = 0; r < 8; ++r) ++banks[reinterpret_cast<uintptr_t>(of(m * 8 + r)->row) / 16 % 8];
    statistics().bank_conflicts += *std::max_element(banks, banks + 8) - 1;
    for (int lane = 0; lane < kWarpSize; ++lane) {
      uint16_t halves[2];
      for (int h = 0; h < 2; ++h) {
        const int row = kTransposed ? lane % 4 * 2 + h : lane / 4;
        const int col = kTransposed ? lane / 4 : lane % 4 * 2 + h;
        std::memcpy(halves + h, of(m * 8 + row)->data + col * 2, 2);
      }
      std::memcpy(of(lane)->output + m, halves, 4);
    }
  }
}

void CheckShared(const void* address, size_t bytes, const char* what) {
  const auto* const p = static_cast<const unsigned char*>(address);
  if (p < block->shared || p + bytes > block->shared + block->shared_bytes)
    Die(what, ": not in the block's shared memory");
  if (reinterpret_cast<uintptr_t>(address) % bytes != 0) Die(what, ": misaligned");
}

bool LandsLater() {
  const Options::Copies copies = options().copies;
  return copies == Options::Copies::kLate ||
         (copies == Options::Copies::kRandom && (Random() & 1) != 0);
}

}  // namespace

void MultiplyAccumulate(float* c, const uint32_t* a, const uint32_t* b) {
  MmaOperands own{c, a, b};
  Collective("mma", ~0u, &own, MmaWork);
}

// What the running thread itself reads and writes of shared memory; TSan learns of it.
#if defined(__SANITIZE_THREAD__)
extern "C" void __tsan_read_range(void* address, unsigned long bytes);
extern "C" void __tsan_write_range(void* address, unsigned long bytes);
void Reads(const void* address, size_t bytes) {
  __tsan_read_range(const_cast<void*>(address), bytes);
}
void Writes(void* address, size_t bytes) { __tsan_write_range(address, bytes); }
#else
void Reads(const void*, size_t) {}
void Writes(void*, size_t) {}
#endif

template <bool kTransposed>
void LoadMatrices(uint32_t* output, const void* row) {
  CheckShared(row, 16, "ldmatrix");
  MatrixOperands own{row, {}, output};
  Reads(row, 16);
  std::memcpy(own.data, row, 16);
  Collective("ldmatrix", ~0u, &own, MatrixWork<kTransposed>);
}

void LoadMatrix4(uint32_t* output, const void* row) { LoadMatrices<false>(output, row); }

void LoadMatrix4Transposed(uint32_t* output, const void* row) { LoadMatrices<true>(output, row); }

namespace {

void Land(const Copy& copy) {
  if (copy.bytes > 0) Reads(copy.source, copy.bytes);
  Writes(copy.target, copy.bytes + copy.zeros);
  if (copy.bytes > 0) std::memcpy(copy.target, copy.source, copy.bytes);
  std::memset(static_cast<char*>(copy.target) + copy.bytes, 0, copy.zeros);
}

}  // namespace

void CopyAsync(void* target, const void* source, size_t bytes, size_t valid) {
  CheckShared(target, bytes, "cp.async");
  if (valid > 0 && reinterpret_cast<uintptr_t>(source) % bytes != 0)
    Die("cp.async: misaligned source");
  const Copy copy{thread->group, target, source, valid, bytes - valid};
  if (!LandsLater()) return Land(copy);
  if (thread->copy_count == Thread::kMaxCopies) Die("too many copies under way");
  thread->copies[thread->copy_count++] = copy;
}

void CommitCopies() { ++thread->group; }

void WaitCopies(int keep) {
  int left = 0;
  for (int i = 0; i < thread->copy_count; ++i) {
    if (thread->copies[i].group < thread->group - keep) {
      Land(thread->copies[i]);
    } else {
      thread->copies[left++] = thread->copies[i];
    }
  }
  thread->copy_count = left;
}

void SyncWarp(uint32_t mask) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(&thread->warp->sync);
#endif
  char none = 0;
  Collective("__syncwarp", mask, &none, [](void**) {});
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(&thread->warp->sync);
#endif
}

}  // namespace emu
