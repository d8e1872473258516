#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "conclave/base/error.h"
#include "kernels/cpu/ops.h"
#include "kernels/reference/ops_reference.h"

namespace conclave {
namespace {

constexpr double kEpsilon = 0x1p-24;

std::vector<float> Normal(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(count);
  for (float& v : x) v = normal(random);
  return x;
}

class RmsNormTest : public testing::TestWithParam<Isa> {};

TEST_P(RmsNormTest, MatchesTheReferenceAtAnyWidth) {
  for (const int64_t width : {1, 2, 7, 8, 15, 16, 63, 64, 65, 100, 128, 1024, 2048, 5001}) {
    const int64_t rows = 3;
    const int64_t stride = width + 5;
    const std::vector<float> x = Normal(static_cast<size_t>(rows * stride), 1);
    const std::vector<float> weight = Normal(static_cast<size_t>(width), 2);
    std::vector<float> y(x.size(), -7);
    RmsNorm(GetParam(), x.data(), weight.data(), 1e-6f, rows, width, stride, y.data());
    for (int64_t row = 0; row < rows; ++row) {
      const auto begin = x.begin() + row * stride;
      const std::vector<double> exact =
          ReferenceRmsNorm({begin, begin + width}, {weight.begin(), weight.end()}, double{1e-6f});
      for (int64_t i = 0; i < width; ++i) {
        // The sum of squares has one sign and no more than width / 16 + 70 additions in a row, so
        // its relative error is at most as many e, halved by the root; divisions, root and two
        // products add 5 e.
        const double bound = (static_cast<double>(width) / 32 + 40) * kEpsilon *
                             std::abs(exact[static_cast<size_t>(i)]);
        EXPECT_NEAR(y[static_cast<size_t>(row * stride + i)], exact[static_cast<size_t>(i)], bound)
            << "width " << width;
      }
      if (row + 1 < rows) {
        EXPECT_EQ(y[static_cast<size_t>(row * stride + width)], -7) << "wrote past a row";
      }
    }
  }
}

TEST_P(RmsNormTest, GivesARowTheSameBitsAloneAndInPlace) {
  const int64_t width = 200;
  const std::vector<float> x = Normal(width * 9, 3);
  const std::vector<float> weight = Normal(width, 4);
  std::vector<float> all = x;
  RmsNorm(GetParam(), all.data(), weight.data(), 1e-5f, 9, width, width, all.data());
  for (int64_t row = 0; row < 9; ++row) {
    std::vector<float> one(width);
    RmsNorm(GetParam(), x.data() + row * width, weight.data(), 1e-5f, 1, width, width, one.data());
    EXPECT_TRUE(std::equal(one.begin(), one.end(), all.begin() + row * width));
  }
}

TEST_P(RmsNormTest, MapsZerosToZeros) {
  const std::vector<float> zeros(40, 0.0f);
  const std::vector<float> weight(40, 1.0f);
  std::vector<float> y(40, 1.0f);
  RmsNorm(GetParam(), zeros.data(), weight.data(), 1e-6f, 1, 40, 40, y.data());
  for (const float v : y) EXPECT_EQ(v, 0);
}

TEST_P(RmsNormTest, RefusesRowsThatOverlap) {
  float x[8] = {};
  EXPECT_THROW(RmsNorm(GetParam(), x, x, 1e-6f, 2, 4, 3, x), Error);
}

INSTANTIATE_TEST_SUITE_P(Isas, RmsNormTest, testing::ValuesIn(SupportedIsas()),
                         [](const auto& info) {
                           return info.param == Isa::kPortable ? "Portable"
                                  : info.param == Isa::kAvx2   ? "Avx2"
                                                               : "Avx512";
                         });

}  // namespace
}  // namespace conclave
