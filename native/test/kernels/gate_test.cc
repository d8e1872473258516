#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "conclave/base/error.h"
#include "kernels/cpu/ops.h"
#include "kernels/reference/ops_reference.h"

namespace conclave {
namespace {

struct GateOutput {
  std::vector<int32_t> ids;
  std::vector<float> weights;
};

GateOutput Gate(const std::vector<float>& logits, int experts, int top_k, GateScoring scoring,
                float multiplier = 1) {
  const int64_t rows = static_cast<int64_t>(logits.size()) / experts;
  GateOutput output{std::vector<int32_t>(static_cast<size_t>(rows * top_k)),
                    std::vector<float>(static_cast<size_t>(rows * top_k))};
  TopKGate(logits.data(), rows, experts, top_k, scoring, multiplier, output.ids.data(),
           output.weights.data());
  return output;
}

TEST(TopKGate, MatchesTheReferenceForBothScorings) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal(0, 3);
  for (const int experts : {1, 4, 8, 60, 64, 128, 257, 1024}) {
    for (const int top_k : {1, 2, 8, 32}) {
      if (top_k > experts) continue;
      for (const GateScoring scoring : {GateScoring::kSoftmaxAll, GateScoring::kSoftmaxTopK}) {
        const size_t rows = 5;
        std::vector<float> logits(rows * static_cast<size_t>(experts));
        // Multiples of 1/4, so that there are ties.
        for (float& x : logits) x = std::round(normal(random) * 4) / 4;
        const GateOutput output = Gate(logits, experts, top_k, scoring, 2.5f);
        for (size_t row = 0; row < rows; ++row) {
          const auto begin = logits.begin() + static_cast<int64_t>(row) * experts;
          const ReferenceGateResult exact =
              ReferenceGate({begin, begin + experts}, top_k, scoring, 2.5);
          for (size_t j = 0; j < static_cast<size_t>(top_k); ++j) {
            const size_t at = row * static_cast<size_t>(top_k) + j;
            EXPECT_EQ(output.ids[at], exact.ids[j]);
            // Two exponentials of 3 e each, a sum of one sign of n terms, a division and a product.
            const double bound = (6.0 + experts + 2) * 0x1p-24 * exact.weights[j];
            EXPECT_NEAR(output.weights[at], exact.weights[j], bound);
          }
        }
      }
    }
  }
}

TEST(TopKGate, PicksTheLowerIdOfEquals) {
  const GateOutput output = Gate({1, 2, 2, 1, 2}, 5, 4, GateScoring::kSoftmaxTopK);
  EXPECT_EQ(output.ids, (std::vector<int32_t>{1, 2, 4, 0}));
}

TEST(TopKGate, GivesExpertsAtMinusInfinityNoWeight) {
  const float off = -std::numeric_limits<float>::infinity();
  const GateOutput output = Gate({off, 3, off, off}, 4, 2, GateScoring::kSoftmaxAll);
  EXPECT_EQ(output.ids, (std::vector<int32_t>{1, 0}));
  EXPECT_EQ(output.weights, (std::vector<float>{1, 0}));
}

TEST(TopKGate, RefusesLogitsThatAreNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), infinity}) {
    for (size_t at = 0; at < 4; ++at) {
      std::vector<float> logits = {0, 1, 2, 3};
      logits[at] = bad;
      try {
        Gate(logits, 4, 2, GateScoring::kSoftmaxAll);
        ADD_FAILURE() << "accepted " << bad << " at " << at;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kNonFinite);
        EXPECT_NE(std::string(error.what()).find("gate logits: 1 of 4 of a row"), std::string::npos)
            << error.what();
      }
    }
  }
  EXPECT_THROW(Gate({-infinity, -infinity}, 2, 1, GateScoring::kSoftmaxAll), Error);
}

TEST(TopKGate, RefusesMoreThanThereAre) {
  EXPECT_THROW(Gate({1, 2}, 2, 3, GateScoring::kSoftmaxAll), Error);
  EXPECT_THROW(Gate({1, 2}, 2, 0, GateScoring::kSoftmaxAll), Error);
}

}  // namespace
}  // namespace conclave
