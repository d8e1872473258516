#include "conclave/base/exponential.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace conclave {
namespace {

// Rounding x log2 e to n is exact; f is short by at most e (e = 2^-24) from the product with
// kLn2Low and by e from that with kLog2E, |f| <= 1/2, so 2^f is wrong by (e + e/2) ln 2 < 1.1 e;
// the polynomial adds 0.03 e, its seven steps about 1.5 e, the scaling nothing: below 3 e, which is
// under 2e-7.
constexpr double kBound = 3 * 0x1p-24;

TEST(Exp, IsWithinItsBoundOverTheNormalRange) {
  double worst = 0;
  for (double x = -87.3; x < 88.7; x += 0.000173) {
    const auto argument = static_cast<float>(x);
    const double exact = std::exp(double{argument});
    worst = std::max(worst, std::abs(double{Exp(argument)} / exact - 1));
  }
  EXPECT_LT(worst, kBound);
}

TEST(Exp, IsExactAtItsEdges) {
  EXPECT_EQ(Exp(0), 1);
  EXPECT_EQ(Exp(-0.0f), 1);
  EXPECT_EQ(Exp(-std::numeric_limits<float>::infinity()), 0);
  EXPECT_EQ(Exp(-100), 0);
  EXPECT_EQ(Exp(std::numeric_limits<float>::infinity()), std::numeric_limits<float>::infinity());
  EXPECT_EQ(Exp(89), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isfinite(Exp(88.722f)));
  EXPECT_TRUE(std::isnan(Exp(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace conclave
