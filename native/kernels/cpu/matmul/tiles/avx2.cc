// AVX2 with FMA and F16C: tiles of up to 6 rows by 16, 12 of the 16 registers for sums.

#include "kernels/cpu/simd/avx2.h"
// The tiles are written over the Simd above.
#include "kernels/cpu/matmul/tiles/activation_simd.h"
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

template <typename Columns>
constexpr auto kMultiply = MultiplyByTiles<FloatKind<Columns, kFloatRows>>;

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
                   MultiplyByTiles<Q8Kind<SignedDot, kQ8Rows>>}},
      .encode = {EncodeF32, nullptr, EncodeQ8},
      .activate = Activate,
  };
  return kTiles;
}

}  // namespace conclave
