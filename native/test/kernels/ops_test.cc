// What only the CPU's own functions say: strides and refusals. What they compute is in
// conformance/.

#include "kernels/cpu/ops.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "conclave/base/error.h"

namespace conclave {
namespace {

class RmsNormTest : public testing::TestWithParam<Isa> {};

TEST_P(RmsNormTest, LeavesWhatLiesBetweenRows) {
  const std::vector<float> x(3 * 14, 1.0f);
  const std::vector<float> weight(9, 2.0f);
  std::vector<float> y(x.size(), -7);
  RmsNorm(GetParam(), x.data(), weight.data(), 0, 3, 9, 14, y.data());
  for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], i % 14 < 9 ? 2 : -7);
}

TEST_P(RmsNormTest, RefusesRowsThatOverlap) {
  float x[8] = {};
  EXPECT_THROW(RmsNorm(GetParam(), x, x, 1e-6f, 2, 4, 3, x), Error);
}

INSTANTIATE_TEST_SUITE_P(Isas, RmsNormTest, testing::ValuesIn(SupportedIsas()),
                         [](const auto& info) { return IsaName(info.param); });

TEST(ApplyRope, RefusesFrequenciesThatDoNotFitTheRotaryDimension) {
  Rope rope{{1, 1, 1}, 1, 8, false};
  float x[16] = {};
  const int32_t position = 0;
  EXPECT_THROW(ApplyRope(rope, &position, 1, 1, 16, 16, x), Error);
  rope = {std::vector<float>(12, 1.0f), 1, 24, false};
  EXPECT_THROW(ApplyRope(rope, &position, 1, 1, 16, 16, x), Error);
}

struct Choice {
  std::vector<int32_t> ids;
  std::vector<float> weights;
};

Choice Gate(const std::vector<float>& logits, int top_k) {
  Choice choice{std::vector<int32_t>(32), std::vector<float>(32)};
  TopKGate(logits.data(), 1, static_cast<int>(logits.size()), {.top_k = top_k}, nullptr,
           choice.ids.data(), choice.weights.data());
  choice.ids.resize(static_cast<size_t>(top_k));
  choice.weights.resize(static_cast<size_t>(top_k));
  return choice;
}

TEST(TopKGate, GivesExpertsAtMinusInfinityNoWeight) {
  const float off = -std::numeric_limits<float>::infinity();
  const Choice choice = Gate({off, 3, off, off}, 2);
  EXPECT_EQ(choice.ids, (std::vector<int32_t>{1, 0}));
  EXPECT_EQ(choice.weights, (std::vector<float>{1, 0}));
}

TEST(TopKGate, CountsTheLogitsThatAreNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), infinity}) {
    for (size_t at = 0; at < 4; ++at) {
      std::vector<float> logits = {0, 1, 2, 3};
      logits[at] = bad;
      try {
        Gate(logits, 2);
        ADD_FAILURE() << "accepted " << bad << " at " << at;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kNonFinite);
        EXPECT_NE(std::string(error.what()).find("gate logits: 1 of 4 of a row"), std::string::npos)
            << error.what();
      }
    }
  }
  EXPECT_THROW(Gate({-infinity, -infinity}, 1), Error);
}

TEST(TopKGate, RefusesMoreThanThereAre) {
  EXPECT_THROW(Gate({1, 2}, 3), Error);
  EXPECT_THROW(Gate({1, 2}, 0), Error);
}

}  // namespace
}  // namespace conclave
