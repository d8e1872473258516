// Rotary positions. Angles are position * frequency rounded to f32, as every framework computes
// them; their sine and cosine are taken in f64 and rounded once, so all machines get the same bits.

#include <bit>
#include <cstdint>
#include <vector>

#include "conclave/base/expect.h"
#include "kernels/cpu/ops.h"

namespace conclave {
namespace {

// Argument reduced to [-pi/4, pi/4] by multiples of pi/2, then Taylor polynomials: error below
// 2e-10 for |x| < 2^20.
inline void SinCos(double x, double* sine, double* cosine) {
  constexpr double kRound = 6755399441055744.0;    // 1.5 * 2^52
  constexpr double kHalfPiHigh = 0x1.921fb544p+0;  // 33 bits: exact times k below 2^20.
  constexpr double kHalfPiLow = 0x1.0b4611a626331p-34;
  const double shifted = x * 0x1.45f306dc9c883p-1 + kRound;
  const double k = shifted - kRound;
  const double r = (x - k * kHalfPiHigh) - k * kHalfPiLow;
  const double r2 = r * r;
  const double s =
      r +
      r * r2 *
          (-1.0 / 6 + r2 * (1.0 / 120 + r2 * (-1.0 / 5040 + r2 * (1.0 / 362880 - r2 / 39916800))));
  const double c =
      1 + r2 * (-0.5 +
                r2 * (1.0 / 24 + r2 * (-1.0 / 720 + r2 * (1.0 / 40320 -
                                                          r2 * (1.0 / 3628800 - r2 / 479001600)))));
  const uint64_t quadrant = std::bit_cast<uint64_t>(shifted);
  const double sine_magnitude = (quadrant & 1) != 0 ? c : s;
  const double cosine_magnitude = (quadrant & 1) != 0 ? s : c;
  *sine = (quadrant & 2) != 0 ? -sine_magnitude : sine_magnitude;
  *cosine = ((quadrant + 1) & 2) != 0 ? -cosine_magnitude : cosine_magnitude;
}

}  // namespace

void ApplyRope(const Rope& rope, const int32_t* positions, int64_t rows, int heads, int head_dim,
               int64_t stride, float* x) {
  const int half = rope.rotary_dim / 2;
  Expect(rope.rotary_dim >= 0 && rope.rotary_dim % 2 == 0 && rope.rotary_dim <= head_dim,
         "rope.rotaryDim", "an even number up to the head dimension", rope.rotary_dim);
  Expect(rope.inverse_frequencies.size() == static_cast<size_t>(half), "rope.inverseFrequencies",
         "rotaryDim / 2 entries", static_cast<int64_t>(rope.inverse_frequencies.size()));
  Expect(rows >= 0, "rows", "0 or more", rows);
  Expect(rows <= 1 || stride >= int64_t{heads} * head_dim, "stride", "heads * headDim or more",
         stride);

  thread_local std::vector<float> sines;
  thread_local std::vector<float> cosines;
  sines.resize(static_cast<size_t>(half));
  cosines.resize(static_cast<size_t>(half));
  const float factor = rope.attention_factor;
  for (int64_t row = 0; row < rows; ++row) {
    const float position = static_cast<float>(positions[row] + rope.offset);
    for (int i = 0; i < half; ++i) {
      double sine;
      double cosine;
      SinCos(double{position * rope.inverse_frequencies[static_cast<size_t>(i)]}, &sine, &cosine);
      sines[static_cast<size_t>(i)] = static_cast<float>(sine) * factor;
      cosines[static_cast<size_t>(i)] = static_cast<float>(cosine) * factor;
    }
    const float* s = sines.data();
    const float* c = cosines.data();
    for (int head = 0; head < heads; ++head) {
      float* v = x + row * stride + int64_t{head} * head_dim;
      const int step = rope.interleaved ? 2 : 1;
      float* w = v + (rope.interleaved ? 1 : half);
      for (int i = 0; i < half; ++i) {
        const float a = v[i * step];
        const float b = w[i * step];
        v[i * step] = a * c[i] - b * s[i];
        w[i * step] = b * c[i] + a * s[i];
      }
    }
  }
}

}  // namespace conclave
