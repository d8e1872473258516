// AVX-512 BF16: sums of two products of bf16 in one instruction.

#include "kernels/cpu/avx512_vector.h"
#include "kernels/cpu/matmul_simd.h"

namespace conclave {
namespace {

constexpr int kBf16Rows = 12;

template <int kRows>
void Bf16Tile(const TileArgs& args, int64_t row) {
  __m512 sums[kRows][2];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) sums[i][0] = sums[i][1] = _mm512_setzero_ps();
  RowPointers<kRows> x(args.activations + row * args.activation_stride, args.activation_stride);
  const uint8_t* pair = args.panel;
  const uint8_t* const end = pair + args.cols / 2 * 128;
  while (pair != end) {
#pragma GCC unroll 4
    for (int step = 0; step < 4; ++step) {
      const auto w0 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(pair + step * 128));
      const auto w1 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(pair + step * 128 + 64));
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const auto value = reinterpret_cast<__m512bh>(Avx512::BroadcastInt(x[i] + step * 4));
        sums[i][0] = _mm512_dpbf16_ps(sums[i][0], w0, value);
        sums[i][1] = _mm512_dpbf16_ps(sums[i][1], w1, value);
      }
    }
    pair += 4 * 128;
    x.Advance(16);
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    float* out = args.output + (row + i) * args.output_stride;
    _mm512_storeu_ps(out, sums[i][0]);
    _mm512_storeu_ps(out + 16, sums[i][1]);
  }
}

struct Bf16Tiles {
  template <int kRows>
  static constexpr TileFunction kTile = Bf16Tile<kRows>;
};

void EncodeBf16(const float* x, int64_t first, int64_t count, int64_t /*cols*/, uint8_t* row) {
  auto* out = reinterpret_cast<uint16_t*>(row) + first;
  for (int64_t i = 0; i < count; i += 16) {
    const __m512i rounded = _mm512_castps_si512(Avx512::RoundToBf16(_mm512_loadu_ps(x + i)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                        _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
  }
}

}  // namespace

TileKernel Avx512Bf16Tile() {
  return {WeightEncoding::kBF16, ActivationEncoding::kBF16, MultiplyByTiles<Bf16Tiles, kBf16Rows>};
}

EncodeRows Avx512Bf16Encoder() { return EncodeBf16; }

}  // namespace conclave
