#include <cmath>
#include <cstring>
#include <limits>

#include "conclave/base/error.h"
#include "conclave/weights/decoded_source.h"
#include "conformance/harness.h"
#include "kernels/reference/rows.h"

namespace conclave {
namespace {

struct Choice {
  std::vector<int32_t> ids;
  std::vector<float> weights;
};

class GateTest : public ConformanceTest {
 protected:
  // With the identity as the gate's weights, rows are their own logits.
  Choice Choose(const std::vector<float>& logits, int experts, const GateParams& params) {
    std::vector<float> identity(static_cast<size_t>(experts * experts), 0.0f);
    for (int e = 0; e < experts; ++e) identity[static_cast<size_t>(e * experts + e)] = 1;
    MemorySource source(identity.data(), SourceType::kF32, experts, experts, experts);
    const MatrixPtr weight = device_->Pack(source, WeightsFormat::kF32);
    const Tensor x = device_.Upload(logits, experts);
    const GateChoice choice{
        device_.UploadIds(std::vector<int32_t>(static_cast<size_t>(x.rows * params.top_k), -7),
                          params.top_k),
        device_.Empty(x.rows, params.top_k)};
    device_->Gate(x, *weight, params, choice);
    return {device_.Download(choice.ids), device_.Download(choice.weights)};
  }
};

// Whatever their scores, which weigh them all the same.
TEST_P(GateTest, WeighsExpertsThatArePickedForIt) {
  const int experts = 6;
  const std::vector<float> logits = Normal(3 * experts, 5);
  const std::vector<int32_t> picks{5, 0, 3, 1, 2, 4};
  const DeviceIds picked = device_.UploadIds(picks, 2);
  for (const GateScoring scoring :
       {GateScoring::kSigmoid, GateScoring::kSqrtSoftplus, GateScoring::kSoftmaxAll}) {
    for (const bool renormalise : {false, true}) {
      const GateParams params{.top_k = 2,
                              .scoring = scoring,
                              .weight_multiplier = 1.5f,
                              .renormalise = renormalise,
                              .picked = &picked};
      const Choice choice = Choose(logits, experts, params);
      EXPECT_EQ(choice.ids, picks);
      for (size_t row = 0; row < 3; ++row) {
        const auto begin = logits.begin() + static_cast<int64_t>(row) * experts;
        const ReferenceGateResult exact =
            ReferenceGate({begin, begin + experts}, params, picks.data() + row * 2);
        for (size_t j = 0; j < 2; ++j)
          EXPECT_NEAR(choice.weights[row * 2 + j], exact.weights[j],
                      30 * kEpsilon * exact.weights[j]);
      }
    }
  }
}

TEST_P(GateTest, ChoosesAsAFullSortDoes) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal(0, 3);
  for (const int experts : {1, 4, 8, 60, 64, 128, 257}) {
    for (const int top_k : {1, 2, 8, 32}) {
      if (top_k > experts) continue;
      for (const GateScoring scoring : {GateScoring::kSoftmaxAll, GateScoring::kSoftmaxTopK}) {
        const size_t rows = 5;
        std::vector<float> logits(rows * static_cast<size_t>(experts));
        // Multiples of 1/4, so that there are ties.
        for (float& x : logits) x = std::round(normal(random) * 4) / 4;
        const GateParams params{.top_k = top_k, .scoring = scoring, .weight_multiplier = 2.5f};
        const Choice choice = Choose(logits, experts, params);
        for (size_t row = 0; row < rows; ++row) {
          const auto begin = logits.begin() + static_cast<int64_t>(row) * experts;
          const ReferenceGateResult exact = ReferenceGate({begin, begin + experts}, params);
          for (size_t j = 0; j < static_cast<size_t>(top_k); ++j) {
            const size_t at = row * static_cast<size_t>(top_k) + j;
            EXPECT_EQ(choice.ids[at], exact.ids[j]) << experts << " experts, top " << top_k;
            // Two exponentials of 3 e each, a sum of one sign of n terms, a division and a product.
            const double bound = (6.0 + experts + 2) * kEpsilon * exact.weights[j];
            EXPECT_NEAR(choice.weights[at], exact.weights[j], bound);
          }
        }
      }
    }
  }
}

// Scores, corrections and groups, each against the plain loop. Multiples of 1/4 and corrections of
// another scale leave no two choices within rounding of each other.
TEST_P(GateTest, ScoresCorrectsAndGroupsAsThePlainLoopDoes) {
  const std::vector<float> correction = Normal(48, 17);
  const std::vector<float> bias = Normal(48, 18);
  const VectorPtr corrections = device_->Store(correction);
  const VectorPtr biases = device_->Store(bias);
  const VectorPtr reference_correction = reference_->Store(correction);
  std::mt19937 random(16);
  std::normal_distribution<float> normal(0, 2);
  for (const GateScoring scoring :
       {GateScoring::kSoftmaxAll, GateScoring::kSigmoid, GateScoring::kSqrtSoftplus}) {
    for (const bool corrected : {false, true}) {
      for (const GateGroups groups : {GateGroups{}, {8, 3, false}, {8, 3, true}, {48, 9, true}}) {
        for (const bool renormalise : {false, true}) {
          std::vector<float> logits(5 * 48);
          for (float& x : logits) x = std::round(normal(random) * 4) / 4;
          std::vector<float> biased = logits;
          for (size_t i = 0; i < biased.size(); ++i) biased[i] += bias[i % 48];
          GateParams params{.top_k = 6,
                            .scoring = scoring,
                            .weight_multiplier = 1.5f,
                            .renormalise = renormalise,
                            .smallest_sum = renormalise && corrected ? 4.0f : 0.0f,
                            .groups = groups,
                            .bias = biases.get(),
                            .correction = corrected ? corrections.get() : nullptr};
          const Choice choice = Choose(logits, 48, params);
          params.correction = corrected ? reference_correction.get() : nullptr;
          for (size_t row = 0; row < 5; ++row) {
            const auto begin = biased.begin() + static_cast<int64_t>(row) * 48;
            const ReferenceGateResult exact = ReferenceGate({begin, begin + 48}, params);
            for (size_t j = 0; j < 6; ++j) {
              EXPECT_EQ(choice.ids[row * 6 + j], exact.ids[j]);
              // A score of at most 48 + 12 roundings, twice where it is divided by a sum.
              EXPECT_NEAR(choice.weights[row * 6 + j], exact.weights[j],
                          128 * kEpsilon * exact.weights[j]);
            }
          }
        }
      }
    }
  }
}

TEST_P(GateTest, MixesSparselyAsThePlainLoopDoes) {
  const GateParams params{.top_k = 2, .scoring = GateScoring::kSparsemixer, .jitter = 0.1f};
  std::mt19937 random(19);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> logits(50 * 16);
  for (float& x : logits) x = std::round(normal(random) * 16) / 16;
  const Choice choice = Choose(logits, 16, params);
  for (size_t row = 0; row < 50; ++row) {
    const auto begin = logits.begin() + static_cast<int64_t>(row) * 16;
    const ReferenceGateResult exact = ReferenceGate({begin, begin + 16}, params);
    for (size_t j = 0; j < 2; ++j) {
      EXPECT_EQ(choice.ids[row * 2 + j], exact.ids[j]);
      EXPECT_NEAR(choice.weights[row * 2 + j], exact.weights[j], 32 * kEpsilon * exact.weights[j]);
    }
  }
}

TEST_P(GateTest, BoundsLogitsAndScalesTheWeightsOfExperts) {
  std::vector<float> factors = Normal(16, 20);
  for (float& factor : factors) factor = std::abs(factor) + 0.5f;
  const VectorPtr scales = device_->Store(factors);
  const VectorPtr reference_scales = reference_->Store(factors);
  std::vector<float> logits = Normal(20 * 16, 21);
  for (float& logit : logits) logit = std::round(logit * 16) / 4;
  GateParams params{.top_k = 3, .scoring = GateScoring::kSigmoid, .renormalise = true};
  params.softcap = 2.5f;
  params.scales = scales.get();
  const Choice choice = Choose(logits, 16, params);
  params.scales = reference_scales.get();
  for (size_t row = 0; row < 20; ++row) {
    std::vector<double> bounded;
    for (size_t e = 0; e < 16; ++e)
      bounded.push_back(2.5 * std::tanh(double{logits[row * 16 + e]} / 2.5));
    const ReferenceGateResult exact = ReferenceGate(bounded, params);
    for (size_t j = 0; j < 3; ++j) {
      const auto id = static_cast<size_t>(choice.ids[row * 3 + j]);
      // Of logits that are bounded to equals, any may come first.
      EXPECT_EQ(logits[row * 16 + id], logits[row * 16 + static_cast<size_t>(exact.ids[j])]);
      if (choice.ids[row * 3 + j] != exact.ids[j]) continue;
      EXPECT_NEAR(choice.weights[row * 3 + j], exact.weights[j], 1e-5 * exact.weights[j]);
    }
  }
}

TEST_P(GateTest, PicksTheLowerIdOfEquals) {
  const Choice choice =
      Choose({1, 2, 2, 1, 2}, 5, {.top_k = 4, .scoring = GateScoring::kSoftmaxTopK});
  EXPECT_EQ(choice.ids, (std::vector<int32_t>{1, 2, 4, 0}));
}

TEST_P(GateTest, RefusesLogitsThatAreNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> logits = {0, 1, 2, 3};
    logits[2] = bad;
    try {
      Choose(logits, 4, {.top_k = 2});
      ADD_FAILURE() << "accepted " << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNonFinite);
    }
  }
}

CONCLAVE_CONFORMANCE(GateTest);

}  // namespace
}  // namespace conclave
