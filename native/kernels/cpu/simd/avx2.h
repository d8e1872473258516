#pragma once

// Vectors of 8 floats or 32-bit integers, AVX2, FMA and F16C. See simd_avx512.h for the contract.

#include <immintrin.h>

#include <cstdint>

namespace conclave {
namespace {

struct Simd {
  static constexpr int kLanes = 8;
  // Rows and vectors of a register tile of attention, and vectors of one with 4 rows.
  static constexpr int kTileRows = 6;
  static constexpr int kTileVectors = 2;
  static constexpr int kTileVectorsOf4 = 2;
  using Float = __m256;
  using Int = __m256i;

  static Float Zero() { return _mm256_setzero_ps(); }
  static Int ZeroInt() { return _mm256_setzero_si256(); }
  static Float Broadcast(float x) { return _mm256_set1_ps(x); }
  static Float BroadcastFloat(const void* p) {
    return _mm256_broadcast_ss(static_cast<const float*>(p));
  }
  static Int BroadcastInt(const void* p) { return _mm256_castps_si256(BroadcastFloat(p)); }
  static Float Load(const void* p) { return _mm256_loadu_ps(static_cast<const float*>(p)); }
  static Int LoadInt(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static Float LoadF16(const void* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  static void Store(float* p, Float x) { _mm256_storeu_ps(p, x); }

  static Float Fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float Min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Float Max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Int Max(Int a, Int b) { return _mm256_max_epi32(a, b); }
  static Float Round(Float x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static Float TimesPowerOfTwo(Float x, Float n) {
    const Int exponent =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(x, _mm256_castsi256_ps(exponent));
  }
  static Float ToFloat(Int x) { return _mm256_cvtepi32_ps(x); }
  static Int ToNearest(Float x) { return _mm256_cvtps_epi32(x); }
  static Int MagnitudeBits(Float x) {
    return _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
  }

  static Float FirstOfPair(Float x) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x), 16));
  }
  static Float SecondOfPair(Float x) {
    return _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0xffff0000))));
  }
  static Float LoadFirsts(const void* p) {
    return _mm256_castsi256_ps(
        _mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))));
  }
  static Float DropSecond(Float x) {
    return _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(0xffff)));
  }
  static Float KeepLanes(Float x, int first, int end, Float other) {
    const Int lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const Int outside = _mm256_or_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(first), lane),
                                        _mm256_cmpgt_epi32(lane, _mm256_set1_epi32(end - 1)));
    return _mm256_blendv_ps(x, other, _mm256_castsi256_ps(outside));
  }
  static Float Exp2(Float x, const float* polynomial) {
    const Float lowest = _mm256_set1_ps(-126);
    const Float low = _mm256_cmp_ps(x, lowest, _CMP_LT_OQ);
    const Float clamped = _mm256_max_ps(lowest, x);
    const Float n = Round(clamped);
    const Float f = _mm256_sub_ps(clamped, n);
    Float p = _mm256_set1_ps(polynomial[6]);
    for (int i = 5; i >= 0; --i) p = Fma(p, f, _mm256_set1_ps(polynomial[i]));
    return _mm256_andnot_ps(low, TimesPowerOfTwo(p, n));
  }

  static float Sum(Float x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  static float Maximum(Float x) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
  }
  static int32_t Maximum(Int x) {
    __m128i y = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    y = _mm_max_epi32(y, _mm_shuffle_epi32(y, 0x4e));
    y = _mm_max_epi32(y, _mm_shuffle_epi32(y, 0xb1));
    return _mm_cvtsi128_si32(y);
  }

  static int32_t StoreInt8(const Int values[4], int8_t* out) {
    const Int low = _mm256_packs_epi32(values[0], values[1]);
    const Int high = _mm256_packs_epi32(values[2], values[3]);
    const Int order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const Int bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), bytes);
    const Int sums = _mm256_add_epi32(_mm256_add_epi32(values[0], values[1]),
                                      _mm256_add_epi32(values[2], values[3]));
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
    return _mm_cvtsi128_si32(sum);
  }
};

}  // namespace
}  // namespace conclave
