// AVX-512 VNNI: dot products of unsigned weights (offset by 128) and signed activations in one
// instruction. Sums start at -128 times the sum of the activations, which takes the offset away
// again.

#include "kernels/cpu/simd/avx512.h"
// The tiles are written over the Simd above.
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

}  // namespace

TileKernel Avx512VnniTile() {
  return {&kQ8OffsetPanels, ActivationEncoding::kQ8, MultiplyByTiles<Q8Kind<OffsetDot, kQ8Rows>>};
}

}  // namespace conclave
