#include <cmath>
#include <vector>

#include "conformance/harness.h"

namespace conclave {
namespace {

class StreamsTest : public ConformanceTest {
 protected:
  static constexpr int64_t kRows = 7;

  static std::vector<float> Weights(Device& device, const StreamParams& params, bool head) {
    const int64_t n = params.streams;
    const int64_t width = head ? n : n * (2 + n);
    const VectorPtr base = device->Store(Normal(width, 1));
    const VectorPtr scale = device->Store({0.7f, 1.3f, 2});
    const Tensor x = device.Upload(Normal(kRows * width, 2), width);
    device->WeighStreams(params, *base, *scale, x);
    return device.Download(x);
  }
};

const StreamParams kCases[] = {{2, 1, 0}, {3, 4, 1e-3f}, {4, 20, 1e-6f}, {16, 2, 1e-6f}};

TEST_P(StreamsTest, WeighsAsTheReferenceDoes) {
  for (const StreamParams& params : kCases) {
    for (const bool head : {false, true}) {
      SCOPED_TRACE(testing::Message() << params.streams << " streams, head " << head);
      const std::vector<float> actual = Weights(device_, params, head);
      const std::vector<float> expected = Weights(reference_, params, head);
      ASSERT_EQ(actual.size(), expected.size());
      // An exponential of 3 e and a few operations; then sums of n and divisions in each round,
      // whose errors the next round balances out but for its own.
      const double bound = (16 + 4.0 * params.streams) * kEpsilon;
      for (size_t i = 0; i < expected.size(); ++i)
        EXPECT_NEAR(actual[i], expected[i], 2 * bound * std::abs(expected[i]) + 1e-7) << i;
    }
  }
}

// What streams give each other is near doubly stochastic, and turned the right way: rows give,
// columns take, and columns are balanced last.
TEST_P(StreamsTest, BalancesWhatStreamsGiveEachOther) {
  const StreamParams params{4, 20, 1e-6f};
  const std::vector<float> weights = Weights(device_, params, false);
  for (int64_t row = 0; row < kRows; ++row) {
    const float* const exchange = weights.data() + row * 24 + 8;
    for (int k = 0; k < 4; ++k) {
      float taken = 0;
      for (int j = 0; j < 4; ++j) taken += exchange[j * 4 + k];
      EXPECT_NEAR(taken, 1, 1e-5);
    }
  }
}

TEST_P(StreamsTest, ReadsAndWritesStreams) {
  for (const StreamParams& params : kCases) {
    for (const int64_t width : {1, 32, 100}) {
      SCOPED_TRACE(testing::Message() << params.streams << " streams of " << width);
      const int64_t n = params.streams;
      const auto run = [&](Device& device) {
        const Tensor x = device.Upload(Normal(kRows * n * width, 3), n * width);
        const Tensor weights = device.Upload(Normal(kRows * n * (2 + n), 4), n * (2 + n));
        const Tensor y = device.Upload(Normal(kRows * width, 5), width);
        const Tensor read = device.Empty(kRows, width);
        device->ReadStreams(params, weights, x, read);
        device->WriteStreams(params, weights, y, x);
        std::vector<float> both = device.Download(read);
        const std::vector<float> written = device.Download(x);
        both.insert(both.end(), written.begin(), written.end());
        return both;
      };
      const std::vector<float> actual = run(device_);
      const std::vector<float> expected = run(reference_);
      // n + 1 products of normal numbers, each below 25.
      for (size_t i = 0; i < expected.size(); ++i)
        EXPECT_NEAR(actual[i], expected[i], 25 * (n + 1) * (n + 2) * kEpsilon) << i;
    }
  }
}

CONCLAVE_CONFORMANCE(StreamsTest);

}  // namespace
}  // namespace conclave
