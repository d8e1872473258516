#pragma once

// The vector type of AVX-512 kernels; see matmul_simd.h. Internal linkage: include it only where
// AVX-512 is compiled for.

#include <immintrin.h>

#include <cstdint>

namespace conclave {
namespace {

struct Avx512 {
  using Float = __m512;
  using Int = __m512i;
  static constexpr int kLanes = 16;

  static Float Zero() { return _mm512_setzero_ps(); }
  static Int ZeroInt() { return _mm512_setzero_si512(); }
  static Float Set(float x) { return _mm512_set1_ps(x); }
  static Float Broadcast(const void* p) { return _mm512_set1_ps(*static_cast<const float*>(p)); }
  static Int BroadcastInt(const void* p) {
    return _mm512_set1_epi32(*static_cast<const int32_t*>(p));
  }
  static Float LoadF32(const void* p) { return _mm512_loadu_ps(p); }
  static Float LoadF16(const void* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  }
  static Int LoadInt(const void* p) { return _mm512_loadu_si512(p); }
  static Float LowBf16(Int pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
  static Float HighBf16(Int pairs) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
  }
  static void Store(float* p, Float x) { _mm512_storeu_ps(p, x); }
  static Float Add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float Multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float Divide(Float a, Float b) { return _mm512_div_ps(a, b); }
  static Float MultiplyAdd(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float Min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float Max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Float Round(Float x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static Float TimesPowerOfTwo(Float x, Float n) { return _mm512_scalef_ps(x, n); }
  static Float ToFloat(Int x) { return _mm512_cvtepi32_ps(x); }
  static Int ToNearest(Float x) { return _mm512_cvtps_epi32(x); }
  static Int Max(Int a, Int b) { return _mm512_max_epi32(a, b); }
  static Int MagnitudeBits(Float x) {
    return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
  }
  static int32_t HorizontalMax(Int x) { return _mm512_reduce_max_epi32(x); }

  // To nearest even; a NaN stays a NaN.
  static Float RoundToBf16(Float x) {
    const Int bits = _mm512_castps_si512(x);
    const Int odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const Int rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const Int kept = _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), bits,
                                          _mm512_set1_epi32(0x400000));
    return _mm512_castsi512_ps(
        _mm512_and_si512(kept, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
  }

  // Narrows 32 values to int8; returns their sum.
  static int32_t StoreInt8(const Int values[2], int8_t* out) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtsepi32_epi8(values[0]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16), _mm512_cvtsepi32_epi8(values[1]));
    return _mm512_reduce_add_epi32(_mm512_add_epi32(values[0], values[1]));
  }
};

}  // namespace
}  // namespace conclave
