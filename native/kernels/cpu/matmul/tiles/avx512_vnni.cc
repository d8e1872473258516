// AVX-512 VNNI: dot products of unsigned weights (offset by 128) and signed activations in one
// instruction. Sums start at -128 times the sum of the activations, which takes the offset away
// again.

#include "kernels/cpu/simd/avx512.h"
// The tiles are written over the Simd above.
#include "kernels/cpu/matmul/tiles/nibbles.h"
#include "kernels/cpu/matmul/tiles/simd.h"

namespace conclave {
namespace {

constexpr int kQ8Rows = 6;

struct OffsetDot {
  struct Weights {
    explicit CONCLAVE_INLINE Weights(__m512i w) : value(w) {}
    __m512i value;
  };
  static CONCLAVE_INLINE __m512i Start(const void* offset) { return Simd::BroadcastInt(offset); }
  static CONCLAVE_INLINE __m512i Add(__m512i sum, const Weights& w, __m512i x) {
    return _mm512_dpbusd_epi32(sum, w.value, x);
  }
};

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
    return _mm512_dpbusd_epi32(sum, w, x);
  }
  static CONCLAVE_INLINE __m512i Widen(Sum sum, __m512i total) {
    return _mm512_add_epi32(total, sum);
  }
};

template <typename Codes>
constexpr auto kMultiplyNibbles = MultiplyByTiles<Q4Kind<NibbleDot, Codes, kQ8Rows>>;

}  // namespace

void UseAvx512Vnni(TileKernels& tiles) {
  const auto use = [&](TileFormat format, const PanelEncoding& panels, auto multiply) {
    tiles.formats[static_cast<size_t>(format)] = {&panels, ActivationEncoding::kQ8, multiply};
  };
  use(TileFormat::kQ8, kQ8OffsetPanels, MultiplyByTiles<Q8Kind<OffsetDot, kQ8Rows>>);
  use(TileFormat::kQ4, kQ4Panels, kMultiplyNibbles<SignedCodes>);
  use(TileFormat::kQ4Zeros, kQ4ZerosPanels, kMultiplyNibbles<CodesWithZeros>);
  use(TileFormat::kQ4E2M1, kQ4Panels, kMultiplyNibbles<E2M1Codes>);
}

}  // namespace conclave
