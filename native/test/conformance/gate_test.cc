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
        const Choice choice = Choose(logits, experts, {top_k, scoring, 2.5f});
        for (size_t row = 0; row < rows; ++row) {
          const auto begin = logits.begin() + static_cast<int64_t>(row) * experts;
          const ReferenceGateResult exact =
              ReferenceGate({begin, begin + experts}, top_k, scoring, 2.5);
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

TEST_P(GateTest, PicksTheLowerIdOfEquals) {
  const Choice choice = Choose({1, 2, 2, 1, 2}, 5, {4, GateScoring::kSoftmaxTopK, 1});
  EXPECT_EQ(choice.ids, (std::vector<int32_t>{1, 2, 4, 0}));
}

TEST_P(GateTest, RefusesLogitsThatAreNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> logits = {0, 1, 2, 3};
    logits[2] = bad;
    try {
      Choose(logits, 4, {2, GateScoring::kSoftmaxAll, 1});
      ADD_FAILURE() << "accepted " << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNonFinite);
    }
  }
}

CONCLAVE_CONFORMANCE(GateTest);

}  // namespace
}  // namespace conclave
