#include <cmath>
#include <limits>

#include "conclave/weights/decoded_source.h"
#include "conformance/harness.h"

namespace conclave {
namespace {

// Sizes around the pieces that threads and vectors take.
const std::vector<std::pair<int64_t, int64_t>> kShapes = {
    {1, 1}, {1, 31}, {3, 33}, {70, 64}, {5, 20011}};

class MapTest : public ConformanceTest {
 protected:
  // Runs an operation on x, here and on the reference, and gives both results.
  template <typename Operation>
  std::pair<std::vector<float>, std::vector<float>> Both(const std::vector<float>& x, int64_t width,
                                                         const Operation& operation) {
    std::vector<float> results[2];
    int at = 0;
    for (Device* device : {&device_, &reference_}) {
      const Tensor tensor = device->Upload(x, width);
      operation(*device, tensor);
      results[at++] = device->Download(tensor);
    }
    return {results[0], results[1]};
  }
};

// One rounding of the same numbers: the same bits.
TEST_P(MapTest, GivesWhatTheReferenceGives) {
  for (const auto& [rows, width] : kShapes) {
    const std::vector<float> x = Normal(rows * width, 1);
    const std::vector<float> y = Normal(rows * width, 2);
    const auto expect_same = [&](const auto& operation) {
      const auto [actual, expected] = Both(x, width, operation);
      EXPECT_EQ(actual, expected) << rows << " by " << width;
    };
    expect_same([](Device& device, const Tensor& t) { device->Clamp(t, 0.75f); });
    expect_same([](Device& device, const Tensor& t) { device->Scale(t, 0.3f); });
    expect_same(
        [&](Device& device, const Tensor& t) { device->Multiply(device.Upload(y, t.width), t); });
    expect_same([&](Device& device, const Tensor& t) {
      const std::vector<float> factors(y.begin(), y.begin() + t.rows);
      device->Multiply(device.Upload(factors, 1), t);
    });
    expect_same([](Device& device, const Tensor& t) { device->Round(t, ActivationType::kBF16); });
    expect_same([](Device& device, const Tensor& t) { device->Round(t, ActivationType::kF32); });
    expect_same([&](Device& device, const Tensor& t) {
      device->AddScaled(device.Upload(y, t.width), 0.7f, t);
    });
  }
}

TEST_P(MapTest, ScalesRowsByASigmoid) {
  for (const auto& [rows, width] : kShapes) {
    const std::vector<float> x = Normal(rows * width, 3);
    std::vector<float> gates = Normal(rows, 4);
    for (float& gate : gates) gate *= 20;
    const auto [actual, expected] = Both(x, width, [&](Device& device, const Tensor& t) {
      device->ScaleBySigmoid(device.Upload(gates, 1), t);
    });
    // An exponential of 3 e, a sum, a division and a product.
    for (size_t i = 0; i < actual.size(); ++i)
      ASSERT_NEAR(actual[i], expected[i], 8 * kEpsilon * std::abs(expected[i]));
  }
}

TEST_P(MapTest, ScalesElementsBySigmoidsColumnsByFactorsAndBoundsWhatIsLarge) {
  for (const auto& [rows, width] : kShapes) {
    std::vector<float> x = Normal(rows * width, 5);
    for (float& value : x) value *= 30;
    std::vector<float> gates = Normal(rows * width, 6);
    for (float& gate : gates) gate *= 20;
    const std::vector<float> factors = Normal(width, 7);
    const auto expect_close = [&](double relative, double absolute, const auto& operation) {
      const auto [actual, expected] = Both(x, width, operation);
      for (size_t i = 0; i < actual.size(); ++i) {
        ASSERT_NEAR(actual[i], expected[i],
                    (relative * std::abs(expected[i]) + absolute) * kEpsilon);
      }
    };
    expect_close(8, 0, [&](Device& device, const Tensor& t) {
      device->ScaleBySigmoid(device.Upload(gates, t.width), t);
    });
    expect_close(8, 0, [&](Device& device, const Tensor& t) {
      device->ScaleBySilu(device.Upload(gates, t.width), t);
    });
    // What is no normal number may be 0.
    expect_close(8, 0x1p-102, [](Device& device, const Tensor& t) { device->Sigmoid(t); });
    expect_close(0, 0, [&](Device& device, const Tensor& t) {
      device->ScaleColumns(*device->Store(factors), t);
    });
    // cap - 2 cap / (e^y + 1): an exponential of 3 e and single roundings, of the size of the cap.
    expect_close(8, 8 * 25, [](Device& device, const Tensor& t) { device->Softcap(t, 25); });
  }
}

TEST_P(MapTest, ScalesRowsByTheirPositions) {
  const std::vector<int32_t> positions = {0, 3, 4, 5, 1000, 131071};
  const SequenceRows where{positions, {}, {}, {}};
  for (const QueryScaling scaling : {QueryScaling{0.1f, 5, 1}, {0.5f, 8192, 0}}) {
    const auto [actual, expected] =
        Both(Normal(6 * 33, 8), 33, [&](Device& device, const Tensor& t) {
          device->ScaleByPosition(scaling, *device->Place(where), t);
        });
    for (size_t i = 0; i < actual.size(); ++i)
      ASSERT_NEAR(actual[i], expected[i], 2 * kEpsilon * std::abs(expected[i]));
  }
}

TEST_P(MapTest, GathersRowsInAnyOrderAndMoreThanOnce) {
  const Tensor x = device_.Upload({0, 1, 10, 11, 20, 21, 30, 31}, 2);
  const std::vector<int32_t> rows = {3, 0, 3};
  const Tensor output = device_.Empty(3, 2);
  device_->Gather(x, rows, output);
  EXPECT_EQ(device_.Download(output), (std::vector<float>{30, 31, 0, 1, 30, 31}));
}

TEST_P(MapTest, EmbedsTokensAsTheFormatKeepsThem) {
  // 1 + 2^-9 lies between two numbers of bf16, and the one below is even.
  const std::vector<float> table = {1 + 0x1p-9f, 2, 3, 4, -5, 6};
  for (const WeightsFormat format :
       {WeightsFormat::kF32, WeightsFormat::kBF16, WeightsFormat::kQ8, WeightsFormat::kQ4}) {
    MemorySource source(table.data(), SourceType::kF32, 3, 2, 2);
    const EmbeddingPtr embedding = device_->PackEmbedding(source, format);
    EXPECT_GE(embedding->bytes(), 12u);
    const Tensor output = device_.Empty(4, 2);
    const std::vector<int32_t> tokens = {2, 0, 2, 1};
    device_->Embed(*embedding, tokens, 3, output);
    const float first = format == WeightsFormat::kBF16 ? 3 : 3 + 3 * 0x1p-9f;
    EXPECT_EQ(device_.Download(output), (std::vector<float>{-15, 18, first, 6, -15, 18, 9, 12}));
  }
}

TEST_P(MapTest, CarriesBf16ToTheHostAndBack) {
  std::vector<float> x = Normal(5 * 37, 9);
  x[3] = std::numeric_limits<float>::infinity();
  const Tensor tensor = device_.Upload(x, 37);
  std::vector<uint8_t> bytes(x.size() * 2);
  device_->Download(tensor, ActivationType::kBF16, bytes);
  device_->Synchronise();
  const Tensor back = device_.Empty(5, 37);
  device_->Upload(ActivationType::kBF16, bytes, back);
  device_->Round(tensor, ActivationType::kBF16);
  EXPECT_EQ(device_.Download(back), device_.Download(tensor));
}

TEST_P(MapTest, SamplesARowForEachRequest) {
  const Tensor logits = device_.Upload({0, 5, 1, 7, 2, 3}, 3);
  std::vector<LogitsRequest> requests(2);
  requests[1].target = 1;
  std::vector<LogitsResult> results(2);
  device_->Sample(logits, requests, results);
  EXPECT_EQ(results[0].token, 1);
  EXPECT_EQ(results[1].token, 1);
  EXPECT_NEAR(results[1].logprob, 2 - std::log(std::exp(7.0) + std::exp(2.0) + std::exp(3.0)),
              1e-5);
}

CONCLAVE_CONFORMANCE(MapTest);

}  // namespace
}  // namespace conclave
