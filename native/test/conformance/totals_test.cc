#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "conformance/harness.h"

namespace conclave {
namespace {

class TotalsTest : public ConformanceTest {};

std::vector<float> Terms(int64_t rows, int64_t width, unsigned seed) {
  std::vector<float> x = Normal(rows * width, seed);
  std::mt19937 random(seed);
  for (float& v : x) v = std::ldexp(v, static_cast<int>(random() % 30) - 20);
  return x;
}

// Every step is exact or rounded once: the same bits as the reference, for totals of each encoding.
TEST_P(TotalsTest, GivesWhatTheReferenceGives) {
  for (const auto& [rows, width] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {3, 33}, {70, 64}, {2, 20011}}) {
    for (const int exponent : {-8, -16, -24, -60}) {
      std::vector<int32_t> exponents;
      for (int64_t row = 0; row < rows; ++row)
        exponents.push_back(exponent - static_cast<int32_t>(row % 3));
      std::vector<int32_t> answered;
      for (int64_t row = 0; row < rows; row += 2) answered.push_back(static_cast<int32_t>(row));
      EncodedTotals encoded[2];
      std::vector<float> outputs[2];
      int at = 0;
      for (Device* device : {&device_, &reference_}) {
        const Grid grid = device->UploadIds(exponents, 1);
        const Totals totals = device->Zeros(rows, width);
        (*device)->AddTerms(device->Upload(Terms(rows, width, 1), width), grid, totals);
        (*device)->AddTerms(device->Upload(Terms(rows, width, 2), width), grid, totals);
        const Totals some = device->Zeros(static_cast<int64_t>(answered.size()), width);
        (*device)->AddTerms(device->Upload(Terms(some.rows, width, 3), width),
                            device->UploadIds(std::vector<int32_t>(answered.size(), exponent), 1),
                            some);
        const EncodedTotals partial = (*device)->Encode(some);
        (*device)->AddEncoded(answered, partial.type, partial.partial, totals);
        encoded[at] = (*device)->Encode(totals);
        const Tensor x = device->Upload(Terms(rows, width, 4), width);
        (*device)->AddTotals(totals, grid, 0.7f, x);
        outputs[at++] = device->Download(x);
      }
      SCOPED_TRACE(std::to_string(rows) + " by " + std::to_string(width) + " exponent " +
                   std::to_string(exponent));
      EXPECT_EQ(encoded[0].type, encoded[1].type);
      EXPECT_EQ(encoded[0].partial, encoded[1].partial);
      EXPECT_EQ(outputs[0], outputs[1]);
    }
  }
}

TEST_P(TotalsTest, AddsEncodedTotalsOfEveryTypeInAnyOrder) {
  const Grid grid = device_.UploadIds({-4}, 1);
  std::vector<EncodedTotals> partials;
  for (const float term : {3.0f, 0x1p20f, 0x1p40f}) {
    const Totals totals = device_.Zeros(1, 3);
    device_->AddTerms(device_.Upload({term, -term, 1}, 3), grid, totals);
    partials.push_back(device_->Encode(totals));
  }
  EXPECT_EQ(partials[0].type, PartialType::kI24);
  EXPECT_EQ(partials[1].type, PartialType::kI32);
  EXPECT_EQ(partials[2].type, PartialType::kF64);
  EncodedTotals sums[2];
  for (EncodedTotals& sum : sums) {
    const Totals totals = device_.Zeros(2, 3);
    for (const EncodedTotals& partial : partials)
      device_->AddEncoded(std::vector<int32_t>{1}, partial.type, partial.partial, totals);
    sum = device_->Encode(totals);
    std::reverse(partials.begin(), partials.end());
  }
  EXPECT_EQ(sums[0].partial, sums[1].partial);
  const double expected[] = {0, 0, 0, (0x1p40 + 0x1p20 + 3) * 16, -(0x1p40 + 0x1p20 + 3) * 16, 48};
  ASSERT_EQ(sums[0].partial.size(), sizeof expected);
  EXPECT_EQ(std::memcmp(sums[0].partial.data(), expected, sizeof expected), 0);
}

TEST_P(TotalsTest, CarriesWhatIsNotFiniteToTheEnd) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const Grid grid = device_.UploadIds({-20}, 1);
    const Totals totals = device_.Zeros(1, 3);
    device_->AddTerms(device_.Upload({1, bad, 2}, 3), grid, totals);
    const EncodedTotals encoded = device_->Encode(totals);
    EXPECT_EQ(encoded.type, PartialType::kF64);
    EXPECT_FALSE(AllFinite(encoded.type, encoded.partial.data(), 3));
    const Totals sum = device_.Zeros(1, 3);
    device_->AddEncoded(std::vector<int32_t>{0}, encoded.type, encoded.partial, sum);
    const Tensor x = device_.Upload({0, 0, 0}, 3);
    device_->AddTotals(sum, grid, 1, x);
    const std::vector<float> output = device_.Download(x);
    EXPECT_EQ(output[0], 1);
    EXPECT_FALSE(std::isfinite(output[1]));
    EXPECT_EQ(output[2], 2);
  }
}

CONCLAVE_CONFORMANCE(TotalsTest);

}  // namespace
}  // namespace conclave
