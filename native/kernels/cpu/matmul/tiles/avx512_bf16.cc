// AVX-512 BF16: sums of two products of bf16 in one instruction.

#include "kernels/cpu/simd/avx512.h"
// The tiles are written over the Simd above.
#include "kernels/cpu/matmul/tiles/simd.h"

namespace conclave {
namespace {

template <int kRows, int64_t kPrefetchBytes>
void Bf16Tile(const TileBlock& block) {
  constexpr int kPairs = 4;  // of columns, each round
  constexpr int kPairBytes = 128;
  const uint8_t* prefetch = block.prefetch;
  Sums<kRows> sums(block);
  RowPointers<kRows> x(block.activations + block.begin * 2, block.activation_stride);
  const uint8_t* pair = block.weights;
  const uint8_t* const end = pair + (block.end - block.begin) / 2 * kPairBytes;
  for (; pair != end; pair += kPairs * kPairBytes, x.Advance(kPairs * 4)) {
    Prefetch<kPrefetchBytes>(prefetch, block.prefetch_step);
#pragma GCC unroll 4
    for (int step = 0; step < kPairs; ++step) {
      const auto w0 = reinterpret_cast<__m512bh>(Simd::LoadInt(pair + step * kPairBytes));
      const auto w1 = reinterpret_cast<__m512bh>(Simd::LoadInt(pair + step * kPairBytes + 64));
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const auto value = reinterpret_cast<__m512bh>(Simd::BroadcastInt(x[i] + step * 4));
        sums.of[i][0] = _mm512_dpbf16_ps(sums.of[i][0], w0, value);
        sums.of[i][1] = _mm512_dpbf16_ps(sums.of[i][1], w1, value);
      }
    }
  }
  sums.Store(block);
}

struct Bf16Kind {
  static constexpr int kMostRows = 14;
  static constexpr int64_t kBlockColumns = 256;
  static constexpr int64_t kGroupBytes = kColumnGroup * 64;
  static constexpr int64_t kScratchBytes = 1;
  template <int kRows>
  static constexpr TileFunction kStream = Bf16Tile<kRows, 512>;
  template <int kRows>
  static constexpr TileFunction kTile = Bf16Tile<kRows, 256>;

  static const uint8_t* Prepare(const uint8_t* weights, int64_t /*cols*/, uint8_t* /*scratch*/) {
    return weights;
  }
};

// To nearest even, in the upper halves; a NaN stays a NaN.
__m512i RoundToBf16(__m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  return _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), bits,
                              _mm512_set1_epi32(0x400000));
}

void EncodeBf16(const float* x, int64_t first, int64_t count, int64_t /*cols*/, uint8_t* row) {
  auto* out = reinterpret_cast<uint16_t*>(row) + first;
  for (int64_t i = 0; i < count; i += 16) {
    const __m512i rounded = RoundToBf16(_mm512_loadu_ps(x + i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                        _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
  }
}

}  // namespace

TileKernel Avx512Bf16Tile() {
  return {&kBf16Panels, ActivationEncoding::kBF16, MultiplyByTiles<Bf16Kind>};
}

EncodeRows Avx512Bf16Encoder() { return EncodeBf16; }

}  // namespace conclave
