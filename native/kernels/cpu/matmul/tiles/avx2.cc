// AVX2 with FMA and F16C: tiles of up to 6 rows by 16, 12 of the 16 registers for sums.

#include "kernels/cpu/simd/avx2.h"
// The tiles are written over the Simd above.
#include "kernels/cpu/matmul/tiles/activation_simd.h"
#include "kernels/cpu/matmul/tiles/nibbles.h"
#include "kernels/cpu/matmul/tiles/simd.h"

namespace conclave {
namespace {

constexpr int kFloatRows = 6;
constexpr int kQ8Rows = 2;

// Signed times signed bytes: |w| as unsigned, its sign moved to x. Sums of two products stay below
// 2^15.
struct SignedDot {
  struct Weights {
    explicit CONCLAVE_INLINE Weights(__m256i w) : value(w), magnitude(_mm256_abs_epi8(w)) {}
    __m256i value;
    __m256i magnitude;
  };
  static CONCLAVE_INLINE __m256i Start(const void* /*offset*/) { return _mm256_setzero_si256(); }
  static CONCLAVE_INLINE __m256i Add(__m256i sum, const Weights& w, __m256i x) {
    const __m256i pairs = _mm256_maddubs_epi16(w.magnitude, _mm256_sign_epi8(x, w.value));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

// Unsigned bytes times signed ones, in lanes of 16 bits: eight products of bytes up to 24, and 16
// of bytes up to 15, stay below 2^15.
struct NibbleDot {
  using Sum = __m256i;
  static CONCLAVE_INLINE Sum Zero() { return _mm256_setzero_si256(); }
  static CONCLAVE_INLINE __m256i Low(__m256i codes) {
    return _mm256_and_si256(codes, _mm256_set1_epi8(15));
  }
  static CONCLAVE_INLINE __m256i High(__m256i codes) {
    return _mm256_and_si256(_mm256_srli_epi16(codes, 4), _mm256_set1_epi8(15));
  }
  static CONCLAVE_INLINE __m256i Lookup(const uint8_t* table, __m256i codes) {
    const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), codes);
  }
  static CONCLAVE_INLINE Sum Add(Sum sum, __m256i w, __m256i x) {
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x));
  }
  static CONCLAVE_INLINE __m256i Widen(Sum sum, __m256i total) {
    return _mm256_add_epi32(total, _mm256_madd_epi16(sum, _mm256_set1_epi16(1)));
  }
};

template <typename Columns>
constexpr auto kMultiply = MultiplyByTiles<FloatKind<Columns, kFloatRows>>;

template <typename Codes>
constexpr auto kMultiplyNibbles = MultiplyByTiles<Q4Kind<NibbleDot, Codes, kQ8Rows>>;

}  // namespace

const TileKernels& Avx2Tiles() {
  static constexpr TileKernels kTiles = {
      .isa = Isa::kAvx2,
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
