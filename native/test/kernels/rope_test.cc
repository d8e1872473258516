#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "conclave/base/error.h"
#include "kernels/cpu/ops.h"
#include "kernels/reference/ops_reference.h"

namespace conclave {
namespace {

Rope MakeRope(int rotary_dim, bool interleaved, float attention_factor) {
  Rope rope{.inverse_frequencies = {},
            .attention_factor = attention_factor,
            .rotary_dim = rotary_dim,
            .interleaved = interleaved};
  for (int i = 0; i < rotary_dim / 2; ++i) {
    rope.inverse_frequencies.push_back(
        std::pow(10000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(rotary_dim)));
  }
  return rope;
}

TEST(ApplyRope, MatchesTheReferenceForEveryLayoutAndPosition) {
  const std::vector<int32_t> positions = {0, 1, 2, 3, 77, 4095, 131071, 1048575};
  for (const int head_dim : {8, 16, 80, 128}) {
    for (const int rotary_dim : {head_dim, head_dim / 4 * 2, 0}) {
      for (const bool interleaved : {false, true}) {
        const Rope rope = MakeRope(rotary_dim, interleaved, 1.25f);
        const int heads = 3;
        const int64_t stride = int64_t{heads} * head_dim + 11;
        std::mt19937 random(5);
        std::normal_distribution<float> normal;
        std::vector<float> x(positions.size() * static_cast<size_t>(stride));
        for (float& v : x) v = normal(random);
        const std::vector<float> before = x;
        ApplyRope(rope, positions.data(), static_cast<int64_t>(positions.size()), heads, head_dim,
                  stride, x.data());
        for (size_t row = 0; row < positions.size(); ++row) {
          for (int head = 0; head < heads; ++head) {
            const size_t at =
                row * static_cast<size_t>(stride) + static_cast<size_t>(head * head_dim);
            const auto begin = before.begin() + static_cast<int64_t>(at);
            const std::vector<double> exact =
                ReferenceRope(rope, positions[row], {begin, begin + head_dim});
            for (size_t i = 0; i < exact.size(); ++i) {
              // Sine, cosine, their products with the factor and with x, and the sum are each
              // rounded once: 4 e (|a| + |b|) * factor, and a pair of elements is at most 12 in sum
              // here.
              EXPECT_NEAR(x[at + i], exact[i], 4 * 0x1p-24 * 12 * 1.25)
                  << "position " << positions[row] << " element " << i;
            }
          }
          for (size_t i = static_cast<size_t>(heads * head_dim); i < static_cast<size_t>(stride);
               ++i) {
            EXPECT_EQ(x[row * static_cast<size_t>(stride) + i],
                      before[row * static_cast<size_t>(stride) + i]);
          }
        }
      }
    }
  }
}

TEST(ApplyRope, RefusesFrequenciesThatDoNotFitTheRotaryDimension) {
  Rope rope = MakeRope(8, false, 1);
  float x[16] = {};
  const int32_t position = 0;
  rope.inverse_frequencies.pop_back();
  EXPECT_THROW(ApplyRope(rope, &position, 1, 1, 16, 16, x), Error);
  EXPECT_THROW(ApplyRope(MakeRope(24, false, 1), &position, 1, 1, 16, 16, x), Error);
}

}  // namespace
}  // namespace conclave
