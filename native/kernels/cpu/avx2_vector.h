#pragma once

// The vector type of AVX2 kernels; see matmul_simd.h. Internal linkage: include it only where AVX2
// is compiled for.

#include <immintrin.h>

#include <cstdint>

namespace conclave {
namespace {

struct Avx2 {
  using Float = __m256;
  using Int = __m256i;
  static constexpr int kLanes = 8;

  static Float Zero() { return _mm256_setzero_ps(); }
  static Int ZeroInt() { return _mm256_setzero_si256(); }
  static Float Set(float x) { return _mm256_set1_ps(x); }
  static Float Broadcast(const void* p) {
    return _mm256_broadcast_ss(static_cast<const float*>(p));
  }
  static Int BroadcastInt(const void* p) {
    return _mm256_set1_epi32(*static_cast<const int32_t*>(p));
  }
  static Float LoadF32(const void* p) { return _mm256_loadu_ps(static_cast<const float*>(p)); }
  static Float LoadF16(const void* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  static Int LoadInt(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static Float LowBf16(Int pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
  static Float HighBf16(Int pairs) {
    return _mm256_castsi256_ps(
        _mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000))));
  }
  static void Store(float* p, Float x) { _mm256_storeu_ps(p, x); }
  static Float Add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float Multiply(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float Divide(Float a, Float b) { return _mm256_div_ps(a, b); }
  static Float MultiplyAdd(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float Min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Float Max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Float Round(Float x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  // n within [-126, 127].
  static Float TimesPowerOfTwo(Float x, Float n) {
    const Int exponent =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(x, _mm256_castsi256_ps(exponent));
  }
  static Float ToFloat(Int x) { return _mm256_cvtepi32_ps(x); }
  static Int ToNearest(Float x) { return _mm256_cvtps_epi32(x); }
  static Int Max(Int a, Int b) { return _mm256_max_epi32(a, b); }
  static Int MagnitudeBits(Float x) {
    return _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
  }
  static int32_t HorizontalMax(Int x) {
    __m128i y = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    y = _mm_max_epi32(y, _mm_shuffle_epi32(y, 0x4e));
    y = _mm_max_epi32(y, _mm_shuffle_epi32(y, 0xb1));
    return _mm_cvtsi128_si32(y);
  }

  // To nearest even; a NaN stays a NaN.
  static Float RoundToBf16(Float x) {
    const Int bits = _mm256_castps_si256(x);
    const Int odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const Int rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const Float quiet = _mm256_or_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(0x400000)));
    const Float kept =
        _mm256_blendv_ps(_mm256_castsi256_ps(rounded), quiet, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_and_ps(kept,
                         _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0xffff0000))));
  }

  // Narrows 32 values to int8; returns their sum.
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
