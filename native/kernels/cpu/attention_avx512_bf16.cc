#include "kernels/cpu/simd_avx512.h"
// The kernel is written over the Simd above.
#include "kernels/cpu/attention_tile.h"

namespace conclave {
namespace {

// Pairs of bf16 on both sides, two products and their sum in one instruction.
struct Bf16DotLanes {
  static constexpr int kPair = 2;
  static constexpr int kLeft = 1;
  template <int R, int N>
  static inline __attribute__((always_inline)) void Add(const F (&right)[N], const float* left, int64_t stride, F (&sum)[R][N]) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512bh x = reinterpret_cast<__m512bh>(Simd::Broadcast(left[r * stride]));
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) sum[r][n] = _mm512_dpbf16_ps(sum[r][n], x, reinterpret_cast<__m512bh>(right[n]));
    }
  }
  // In place: the pairs of elements [at, at + 16) end before the elements that are still to be read.
  static void StoreLeft(float* row, int at, F x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + at / 2), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
  }
  static void Pack(const AttentionTile& tile, float* packed) {
    const int pairs = (tile.head_dim + 1) / 2;
    const F scale = Simd::Broadcast(tile.scale * 1.44269504f);
    for (int v = 0; v < tile.rows * tile.group; ++v) {
      const float* q = tile.q + v / tile.group * tile.row_stride + int64_t{v % tile.group} * tile.head_dim;
      float* row = packed + int64_t{v} * pairs;
      for (int d = 0; d < tile.head_dim; d += kWidth) {
        const int rest = tile.head_dim - d;
        const __mmask16 mask = rest >= kWidth ? 0xffff : static_cast<__mmask16>((1u << rest) - 1);
        const __m256i bf16 =
            reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, q + d) * scale));
        const __mmask8 lanes = rest >= kWidth ? 0xff : static_cast<__mmask8>((1u << (rest + 1) / 2) - 1);
        _mm256_mask_storeu_epi32(row + d / 2, lanes, bf16);
      }
    }
  }
};

}  // namespace

const AttentionKernel& Avx512Bf16AttentionKernel() { return kAttentionKernel<Bf16DotLanes>; }

}  // namespace conclave
