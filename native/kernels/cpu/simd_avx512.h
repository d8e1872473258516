#pragma once

// Vectors of 16 floats, AVX-512. Each simd_*.h declares `Simd` in an unnamed namespace, so that no
// code of one instruction set is ever linked into another's; a file includes one of them.
//
// Lanes are f32, or pairs of bf16 whose first element is in the low half. Max returns its second
// operand when one is NaN. Exp2(x) = 2^x for x <= 0, relative error below 2^-22, 0 for x < -126,
// NaN for NaN.

#include <immintrin.h>

#include <cstdint>

namespace conclave {
namespace {

struct Simd {
  static constexpr int kWidth = 16;
  // Rows and vectors of a register tile of a matrix product, and vectors of one with 4 rows.
  static constexpr int kTileRows = 8;
  static constexpr int kTileVectors = 2;
  static constexpr int kTileVectorsOf4 = 4;
  using F = __m512;

  static F Zero() { return _mm512_setzero_ps(); }
  static F Broadcast(float x) { return _mm512_set1_ps(x); }
  static F Load(const float* p) { return _mm512_loadu_ps(p); }
  static F LoadLanes(const uint8_t* p) { return _mm512_castsi512_ps(_mm512_loadu_si512(p)); }
  static void Store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static F Fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F Max(F a, F b) { return _mm512_max_ps(a, b); }
  static F FirstOfPair(F x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x), 16));
  }
  static F SecondOfPair(F x) {
    return _mm512_and_ps(x, _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(0xffff0000))));
  }
  static F DropSecond(F x) {
    return _mm512_and_ps(x, _mm512_castsi512_ps(_mm512_set1_epi32(0xffff)));
  }
  // Lanes [first, end) of x, the others of `other`.
  static F KeepLanes(F x, int first, int end, F other) {
    const unsigned below_end = end >= 16 ? 0xffffu : end <= 0 ? 0u : (1u << end) - 1;
    const unsigned below_first = first >= 16 ? 0xffffu : first <= 0 ? 0u : (1u << first) - 1;
    return _mm512_mask_mov_ps(other, static_cast<__mmask16>(below_end & ~below_first), x);
  }
  static F Exp2(F x, const float* polynomial) {
    const F lowest = _mm512_set1_ps(-126);
    const __mmask16 normal = _mm512_cmp_ps_mask(x, lowest, _CMP_NLT_UQ);
    const F clamped = _mm512_max_ps(lowest, x);
    const F n = _mm512_roundscale_ps(clamped, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const F f = _mm512_sub_ps(clamped, n);
    F p = _mm512_set1_ps(polynomial[6]);
    for (int i = 5; i >= 0; --i) p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(polynomial[i]));
    return _mm512_maskz_scalef_ps(normal, p, n);
  }
  static float Sum(F x) {
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  static float Maximum(F x) {
    const __m256 half = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
  }
};

}  // namespace
}  // namespace conclave
