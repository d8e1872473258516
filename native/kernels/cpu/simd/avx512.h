#pragma once

// Vectors of 16 floats or 32-bit integers, AVX-512 F, BW, VL, DQ. Each simd_*.h declares `Simd` in
// an unnamed namespace, so that no code of one instruction set is ever linked into another's; a
// file includes one of them, and then the kernels that are written over it.
//
// Lanes are f32, or pairs of bf16 whose first element is in the low half. Max and Min return their
// second operand when one is NaN. Exp2(x) = 2^x for x <= 0, relative error below 2^-22, 0 for
// x < -126, NaN for NaN. Addresses need no alignment.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace conclave {
namespace {

struct Simd {
  static constexpr int kLanes = 16;
  // Rows and vectors of a register tile of attention, and vectors of one with 4 rows.
  static constexpr int kTileRows = 8;
  static constexpr int kTileVectors = 2;
  static constexpr int kTileVectorsOf4 = 4;
  using Float = __m512;
  using Int = __m512i;

  static Float Zero() { return _mm512_setzero_ps(); }
  static Int ZeroInt() { return _mm512_setzero_si512(); }
  static Float Broadcast(float x) { return _mm512_set1_ps(x); }
  static Float BroadcastFloat(const void* p) {
    float x;
    std::memcpy(&x, p, sizeof x);
    return _mm512_set1_ps(x);
  }
  static Int BroadcastInt(const void* p) {
    int32_t x;
    std::memcpy(&x, p, sizeof x);
    return _mm512_set1_epi32(x);
  }
  static Float Load(const void* p) { return _mm512_loadu_ps(p); }
  static Int LoadInt(const void* p) { return _mm512_loadu_si512(p); }
  static Float LoadF16(const void* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  }
  static void Store(float* p, Float x) { _mm512_storeu_ps(p, x); }

  static Float Fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float Min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float Max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Int Max(Int a, Int b) { return _mm512_max_epi32(a, b); }
  static Float Round(Float x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  // n within [-126, 127].
  static Float TimesPowerOfTwo(Float x, Float n) { return _mm512_scalef_ps(x, n); }
  static Float ToFloat(Int x) { return _mm512_cvtepi32_ps(x); }
  static Int ToNearest(Float x) { return _mm512_cvtps_epi32(x); }
  static Int MagnitudeBits(Float x) {
    return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
  }

  static Float FirstOfPair(Float x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x), 16));
  }
  static Float SecondOfPair(Float x) {
    return _mm512_and_ps(x, _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(0xffff0000))));
  }
  // 16-bit elements as the firsts of pairs whose seconds are 0.
  static Float LoadFirsts(const void* p) {
    return _mm512_castsi512_ps(
        _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p))));
  }
  static Float DropSecond(Float x) {
    return _mm512_and_ps(x, _mm512_castsi512_ps(_mm512_set1_epi32(0xffff)));
  }
  // Lanes [first, end) of x, the others of `other`.
  static Float KeepLanes(Float x, int first, int end, Float other) {
    const unsigned below_end = end >= 16 ? 0xffffu : end <= 0 ? 0u : (1u << end) - 1;
    const unsigned below_first = first >= 16 ? 0xffffu : first <= 0 ? 0u : (1u << first) - 1;
    return _mm512_mask_mov_ps(other, static_cast<__mmask16>(below_end & ~below_first), x);
  }
  static Float Exp2(Float x, const float* polynomial) {
    const Float lowest = _mm512_set1_ps(-126);
    const __mmask16 normal = _mm512_cmp_ps_mask(x, lowest, _CMP_NLT_UQ);
    const Float clamped = _mm512_max_ps(lowest, x);
    const Float n = Round(clamped);
    const Float f = _mm512_sub_ps(clamped, n);
    Float p = _mm512_set1_ps(polynomial[6]);
    for (int i = 5; i >= 0; --i) p = Fma(p, f, _mm512_set1_ps(polynomial[i]));
    return _mm512_maskz_scalef_ps(normal, p, n);
  }

  // Over the lanes.
  static float Sum(Float x) {
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  static float Maximum(Float x) {
    const __m256 half = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
  }
  static int32_t Maximum(Int x) { return _mm512_reduce_max_epi32(x); }

  // Narrows 32 values to int8; returns their sum.
  static int32_t StoreInt8(const Int values[2], int8_t* out) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtsepi32_epi8(values[0]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16), _mm512_cvtsepi32_epi8(values[1]));
    return _mm512_reduce_add_epi32(_mm512_add_epi32(values[0], values[1]));
  }
};

}  // namespace
}  // namespace conclave
