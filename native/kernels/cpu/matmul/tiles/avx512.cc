// AVX-512 F, BW, VL, DQ: tiles of up to 14 rows by 32, 28 of the 32 registers for sums.

#include "kernels/cpu/simd/avx512.h"
// The tiles are written over the Simd above.
#include "kernels/cpu/matmul/tiles/activation_simd.h"
#include "kernels/cpu/matmul/tiles/nibbles.h"
#include "kernels/cpu/matmul/tiles/simd.h"

namespace conclave {
namespace {

constexpr int kFloatRows = 14;
constexpr int kQ8Rows = 4;

// Signed times signed bytes: |w| as unsigned, its sign moved to x. Sums of two products stay below
// 2^15.
struct SignedDot {
  struct Weights {
    explicit CONCLAVE_INLINE Weights(__m512i w)
        : negative(_mm512_movepi8_mask(w)), magnitude(_mm512_abs_epi8(w)) {}
    __mmask64 negative;
    __m512i magnitude;
  };
  static CONCLAVE_INLINE __m512i Start(const void* /*offset*/) { return _mm512_setzero_si512(); }
  static CONCLAVE_INLINE __m512i Add(__m512i sum, const Weights& w, __m512i x) {
    const __m512i with_sign = _mm512_mask_sub_epi8(x, w.negative, _mm512_setzero_si512(), x);
    const __m512i pairs = _mm512_maddubs_epi16(w.magnitude, with_sign);
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
  }
};

// Unsigned bytes times signed ones, in lanes of 16 bits: eight products of bytes up to 24, and 16
// of bytes up to 15, stay below 2^15.
struct NibbleDot {
  using Sum = __m512i;
  static CONCLAVE_INLINE Sum Zero() { return _mm512_setzero_si512(); }
  static CONCLAVE_INLINE __m512i Low(__m512i codes) {
    return _mm512_and_si512(codes, _mm512_set1_epi8(15));
  }
  static CONCLAVE_INLINE __m512i High(__m512i codes) {
    return _mm512_and_si512(_mm512_srli_epi16(codes, 4), _mm512_set1_epi8(15));
  }
  static CONCLAVE_INLINE __m512i Lookup(const uint8_t* table, __m512i codes) {
    const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), codes);
  }
  static CONCLAVE_INLINE Sum Add(Sum sum, __m512i w, __m512i x) {
    return _mm512_add_epi16(sum, _mm512_maddubs_epi16(w, x));
  }
  static CONCLAVE_INLINE __m512i Widen(Sum sum, __m512i total) {
    return _mm512_add_epi32(total, _mm512_madd_epi16(sum, _mm512_set1_epi16(1)));
  }
};

template <typename Columns>
constexpr auto kMultiply = MultiplyByTiles<FloatKind<Columns, kFloatRows>>;

template <typename Codes>
constexpr auto kMultiplyNibbles = MultiplyByTiles<Q4Kind<NibbleDot, Codes, kQ8Rows>>;

}  // namespace

const TileKernels& Avx512Tiles() {
  static constexpr TileKernels kTiles = {
      .isa = Isa::kAvx512,
      .panel_rows = 2 * Simd::kLanes,
      .formats = {{&kF32Panels, ActivationEncoding::kF32, kMultiply<F32Columns>},
                  {&kF16Panels, ActivationEncoding::kF32, kMultiply<F16Columns>},
                  {&kBf16Panels, ActivationEncoding::kF32, kMultiply<Bf16Columns>},
                  {&kBf16Panels, ActivationEncoding::kF32, kMultiply<Bf16Columns>},
                  {&kQ8Panels, ActivationEncoding::kQ8,
                   MultiplyByTiles<Q8Kind<SignedDot, kQ8Rows>>},
                  {&kQ4Panels, ActivationEncoding::kQ8, kMultiplyNibbles<SignedCodes>},
                  {&kQ4ZerosPanels, ActivationEncoding::kQ8, kMultiplyNibbles<CodesWithZeros>},
                  {&kQ4Panels, ActivationEncoding::kQ8, kMultiplyNibbles<E2M1Codes>}},
      .encode = {EncodeF32, nullptr, EncodeQ8},
      .activate = Activate,
  };
  return kTiles;
}

}  // namespace conclave
