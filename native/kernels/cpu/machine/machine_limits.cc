#include "kernels/cpu/machine/machine_limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "kernels/cpu/machine/cpu_features.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace conclave {
namespace {

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

uint64_t SumPortable(const uint8_t* data, size_t bytes) {
  const auto* words = reinterpret_cast<const uint64_t*>(data);
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 8 <= bytes / 8; i += 8) {
    for (size_t j = 0; j < 8; ++j) sums[j] += words[i + j];
  }
  uint64_t sum = 0;
  for (uint64_t part : sums) sum += part;
  return sum;
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) uint64_t SumAvx512(const uint8_t* data, size_t bytes) {
  __m512i sums[4] = {};
  for (size_t i = 0; i + 256 <= bytes; i += 256) {
    for (size_t j = 0; j < 4; ++j) {
      _mm_prefetch(reinterpret_cast<const char*>(data + i + 4096 + j * 64), _MM_HINT_T0);
      sums[j] = _mm512_add_epi64(sums[j], _mm512_loadu_si512(data + i + j * 64));
    }
  }
  uint64_t lanes[32];
  for (int j = 0; j < 4; ++j) _mm512_storeu_si512(lanes + j * 8, sums[j]);
  uint64_t sum = 0;
  for (uint64_t lane : lanes) sum += lane;
  return sum;
}

// Twelve independent chains of one instruction hide its latency.
#define CONCLAVE_TWELVE(op, size)                                                                \
  op " %%" size "30,%%" size "31,%%" size "0\n" op " %%" size "30,%%" size "31,%%" size "1\n" op \
     " %%" size "30,%%" size "31,%%" size "2\n" op " %%" size "30,%%" size "31,%%" size "3\n" op \
     " %%" size "30,%%" size "31,%%" size "4\n" op " %%" size "30,%%" size "31,%%" size "5\n" op \
     " %%" size "30,%%" size "31,%%" size "6\n" op " %%" size "30,%%" size "31,%%" size "7\n" op \
     " %%" size "30,%%" size "31,%%" size "8\n" op " %%" size "30,%%" size "31,%%" size "9\n" op \
     " %%" size "30,%%" size "31,%%" size "10\n" op " %%" size "30,%%" size "31,%%" size "11\n"
// What happens to be in the operands may be denormal numbers, which multiply far slower.
#define CONCLAVE_LOOP(name, op)                                                                  \
  void name(int64_t rounds) {                                                                    \
    asm volatile("vzeroall\nvpxord %%zmm30,%%zmm30,%%zmm30\nvpxord %%zmm31,%%zmm31,%%zmm31" ::   \
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",   \
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");            \
    for (int64_t i = 0; i < rounds; ++i) {                                                       \
      asm volatile(CONCLAVE_TWELVE(op, "zmm")::                                                  \
                       : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
                         "xmm9", "xmm10", "xmm11");                                              \
    }                                                                                            \
  }
CONCLAVE_LOOP(FmaLoop, "vfmadd231ps")
CONCLAVE_LOOP(Bf16Loop, "vdpbf16ps")
CONCLAVE_LOOP(VnniLoop, "vpdpbusd")

void Fma256Loop(int64_t rounds) {
  asm volatile("vzeroall" ::
                   : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                     "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  for (int64_t i = 0; i < rounds; ++i) {
    asm volatile(
        "vfmadd231ps %%ymm14,%%ymm15,%%ymm0\nvfmadd231ps %%ymm14,%%ymm15,%%ymm1\n"
        "vfmadd231ps %%ymm14,%%ymm15,%%ymm2\nvfmadd231ps %%ymm14,%%ymm15,%%ymm3\n"
        "vfmadd231ps %%ymm14,%%ymm15,%%ymm4\nvfmadd231ps %%ymm14,%%ymm15,%%ymm5\n"
        "vfmadd231ps %%ymm14,%%ymm15,%%ymm6\nvfmadd231ps %%ymm14,%%ymm15,%%ymm7\n"
        "vfmadd231ps %%ymm14,%%ymm15,%%ymm8\nvfmadd231ps %%ymm14,%%ymm15,%%ymm9\n"
        "vfmadd231ps %%ymm14,%%ymm15,%%ymm10\nvfmadd231ps %%ymm14,%%ymm15,%%ymm11\n" ::
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
              "xmm10", "xmm11");
  }
}

// Products of bytes in pairs, and their sums in 16 bits: two instructions for 32 multiply-adds.
void Int8PairsLoop(int64_t rounds) {
  asm volatile("vzeroall" ::
                   : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                     "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  for (int64_t i = 0; i < rounds; ++i) {
    asm volatile(
        "vpmaddubsw %%ymm14,%%ymm15,%%ymm6\nvpaddw %%ymm6,%%ymm0,%%ymm0\n"
        "vpmaddubsw %%ymm14,%%ymm15,%%ymm7\nvpaddw %%ymm7,%%ymm1,%%ymm1\n"
        "vpmaddubsw %%ymm14,%%ymm15,%%ymm8\nvpaddw %%ymm8,%%ymm2,%%ymm2\n"
        "vpmaddubsw %%ymm14,%%ymm15,%%ymm9\nvpaddw %%ymm9,%%ymm3,%%ymm3\n"
        "vpmaddubsw %%ymm14,%%ymm15,%%ymm10\nvpaddw %%ymm10,%%ymm4,%%ymm4\n"
        "vpmaddubsw %%ymm14,%%ymm15,%%ymm11\nvpaddw %%ymm11,%%ymm5,%%ymm5\n" ::
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
              "xmm10", "xmm11");
  }
}
#endif

}  // namespace

double MeasureReadBandwidth(ThreadPool& pool, std::span<const uint8_t> memory) {
  auto sum = SumPortable;
#if defined(__x86_64__)
  if (DetectCpuFeatures().avx512) sum = SumAvx512;
#endif
  // Each thread walks its own contiguous part, in pieces so that a thread that is late leaves some
  // to the others.
  constexpr size_t kPiece = 4 << 20;
  std::atomic<uint64_t> total{0};
  const size_t pieces = memory.size() / kPiece;
  const auto start = std::chrono::steady_clock::now();
  pool.ParallelFor(static_cast<int64_t>(pieces), [&](int64_t piece, int) {
    total += sum(memory.data() + static_cast<size_t>(piece) * kPiece, kPiece);
  });
  return static_cast<double>(pieces * kPiece) / Seconds(start);
}

std::vector<ArithmeticLimit> MeasureArithmetic([[maybe_unused]] ThreadPool& pool) {
  std::vector<ArithmeticLimit> limits;
#if defined(__x86_64__)
  constexpr int64_t kRounds = 2'000'000;
  const auto measure = [&](const char* name, void (*loop)(int64_t), double macs_per_instruction) {
    double best = 0;
    for (int repeat = 0; repeat < 3; ++repeat) {
      const auto start = std::chrono::steady_clock::now();
      pool.ParallelFor(pool.threads(), [&](int64_t, int) { loop(kRounds); });
      best = std::max(best, kRounds * 12 * macs_per_instruction * pool.threads() / Seconds(start));
    }
    limits.push_back({name, best});
  };
  const CpuFeatures features = DetectCpuFeatures();
  if (features.avx2) measure("f32 FMA, 256 bits", Fma256Loop, 8);
  if (features.avx2) measure("int8 pairs, 256 bits", Int8PairsLoop, 16);
  if (features.avx512) measure("f32 FMA, 512 bits", FmaLoop, 16);
  if (features.avx512_bf16) measure("bf16 dot, 512 bits", Bf16Loop, 32);
  if (features.avx512_vnni) measure("int8 dot, 512 bits", VnniLoop, 64);
#endif
  return limits;
}

}  // namespace conclave
