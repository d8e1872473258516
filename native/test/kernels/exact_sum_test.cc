#include "kernels/cpu/exact_sum/exact_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "conclave/base/error.h"

namespace conclave {
namespace {

// What the definition says, a term at a time.
double Steps(float value, float weight, int exponent) {
  return std::nearbyint(std::ldexp(static_cast<double>(weight * value), -exponent));
}

// Floats of every exponent from 2^low to 2^high, of both signs, and zeros of both.
std::vector<float> Values(size_t count, int low, int high, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> mantissa(1, 2);
  std::vector<float> values(count);
  for (float& value : values) {
    const int exponent = low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
    const float sign = random() % 2 == 0 ? 1.0f : -1.0f;
    value = sign * (random() % 16 == 0 ? 0.0f : std::ldexp(mantissa(random), exponent));
  }
  return values;
}

class ExactSumTest : public testing::TestWithParam<Isa> {
 protected:
  std::vector<double> Add(const std::vector<float>& values, float weight, int exponent,
                          std::vector<double> totals) const {
    AddTerm(GetParam(), values.data(), weight, exponent, static_cast<int64_t>(values.size()),
            totals.data());
    return totals;
  }
};

TEST_P(ExactSumTest, RoundsEachTermToTheGrid) {
  for (const int exponent : {-154, -60, -20, -1, 0, 7, 126}) {
    for (const float weight : {1.0f, -0.37f, 0x1p-60f, 3e38f}) {
      for (const int width : {1, 3, 8, 17, 1000}) {
        // From far below half a step to beyond what integers hold.
        const int middle = std::clamp(exponent, -80, 60);
        const auto values = Values(static_cast<size_t>(width), middle - 40, middle + 60,
                                   static_cast<unsigned>(width));
        const std::vector<double> got =
            Add(values, weight, exponent, std::vector<double>(values.size(), 0.0));
        for (size_t i = 0; i < values.size(); ++i) {
          const double expected = Steps(values[i], weight, exponent);
          if (std::isfinite(expected)) {
            EXPECT_EQ(got[i], expected) << values[i] << " * " << weight << " on 2^" << exponent;
          } else {
            EXPECT_FALSE(std::isfinite(got[i]));
          }
        }
      }
    }
  }
}

TEST_P(ExactSumTest, RoundsTiesToEvenAndKeepsNoNegativeZero) {
  const std::vector<float> values{0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, -0.0f, 0.0f, -0.25f};
  const std::vector<double> got = Add(values, 1, 0, std::vector<double>(values.size(), 0.0));
  EXPECT_EQ(got, (std::vector<double>{0, 2, 2, 0, -2, -2, 0, 0, 0}));
  for (const double total : got) EXPECT_FALSE(total == 0 && std::signbit(total));
}

// Terms up to 2^26 times the grid's scale, in any order and in any grouping over encoded partial
// sums: the bits are the same.
TEST_P(ExactSumTest, AnyOrderAndGroupingGivesTheSameBits) {
  constexpr size_t kWidth = 67;
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const int exponent = static_cast<int>(random() % 200) - 120;
    const int high = static_cast<int>(random() % 46) + exponent;
    const size_t terms = 1 + random() % 40;
    std::vector<std::vector<float>> values;
    std::vector<double> expected(kWidth, 0.0);
    for (size_t t = 0; t < terms; ++t) {
      values.push_back(Values(kWidth, std::max(-126, high - 30), std::max(-126, high), random()));
      expected = Add(values.back(), 0.7f, exponent, expected);
    }
    std::shuffle(values.begin(), values.end(), random);
    std::vector<std::vector<double>> groups(1 + random() % 5, std::vector<double>(kWidth, 0.0));
    for (const auto& term : values) {
      std::vector<double>& group = groups[random() % groups.size()];
      group = Add(term, 0.7f, exponent, group);
    }
    std::vector<double> got(kWidth, 0.0);
    for (const auto& group : groups) {
      const PartialType type = NarrowestType(GetParam(), group.data(), kWidth);
      std::vector<uint8_t> bytes(kWidth * PartialBytes(type));
      EncodeTotals(GetParam(), type, group.data(), kWidth, bytes.data());
      EXPECT_TRUE(AllFinite(type, bytes.data(), kWidth));
      AddEncoded(GetParam(), type, bytes.data(), kWidth, got.data());
    }
    EXPECT_EQ(got, expected);
  }
}

TEST_P(ExactSumTest, BeyondIntegersRoundsAsDoublesDo) {
  const std::vector<double> got = Add({0x1p60f, 3e38f}, 1, 0, {1, 0x1p100});
  EXPECT_EQ(got[0], 0x1p60 + 1);
  EXPECT_EQ(got[1], static_cast<double>(3e38f) + 0x1p100);
}

TEST_P(ExactSumTest, PicksTheNarrowestTypeAndKeepsEveryValue) {
  const double i24 = 0x1p23 - 1;
  const double i32 = 0x1p31 - 1;
  const struct {
    double value;
    PartialType type;
  } cases[] = {
      {0, PartialType::kI24},          {i24, PartialType::kI24},      {-i24, PartialType::kI24},
      {0x1p23, PartialType::kI32},     {-0x1p23, PartialType::kI32},  {i32, PartialType::kI32},
      {-i32, PartialType::kI32},       {0x1p31, PartialType::kF64},   {-0x1p31, PartialType::kF64},
      {0x1p53 - 1, PartialType::kF64}, {-0x1p200, PartialType::kF64}, {INFINITY, PartialType::kF64},
      {-INFINITY, PartialType::kF64},  {NAN, PartialType::kF64},      {-NAN, PartialType::kF64},
  };
  for (const auto& [value, type] : cases) {
    for (const size_t count : {1u, 2u, 5u, 16u, 33u}) {
      for (size_t at = 0; at < count; ++at) {
        std::vector<double> totals(count, -7);
        totals[at] = value;
        const auto width = static_cast<int64_t>(count);
        ASSERT_EQ(NarrowestType(GetParam(), totals.data(), width), type) << value;
        std::vector<uint8_t> bytes(count * PartialBytes(type) + 3, 0xab);
        EncodeTotals(GetParam(), type, totals.data(), width, bytes.data());
        EXPECT_EQ(bytes[bytes.size() - 3], 0xab) << "wrote past the end";
        EXPECT_EQ(AllFinite(type, bytes.data(), width), std::isfinite(value));
        std::vector<uint8_t> unaligned(bytes.size() + 1);
        std::copy(bytes.begin(), bytes.end(), unaligned.begin() + 1);
        std::vector<double> got(count, 0.0);
        AddEncoded(GetParam(), type, unaligned.data() + 1, width, got.data());
        for (size_t i = 0; i < count; ++i) {
          EXPECT_TRUE(got[i] == totals[i] || (std::isnan(got[i]) && std::isnan(totals[i])));
        }
      }
    }
  }
}

TEST_P(ExactSumTest, WritesIntegersLittleEndian) {
  const std::vector<double> totals{1, -2, 0x010203};
  std::vector<uint8_t> bytes(9);
  EncodeTotals(GetParam(), PartialType::kI24, totals.data(), 3, bytes.data());
  EXPECT_EQ(bytes, (std::vector<uint8_t>{1, 0, 0, 0xfe, 0xff, 0xff, 3, 2, 1}));
}

TEST_P(ExactSumTest, KeepsNaNsAndInfinities) {
  const std::vector<float> bad{NAN, -NAN, INFINITY, -INFINITY, 3e38f};
  const std::vector<double> got = Add(bad, 2, -20, std::vector<double>(bad.size(), 5));
  for (const double total : got) EXPECT_FALSE(std::isfinite(total));
}

TEST_P(ExactSumTest, AddsTheTotalOnceRounded) {
  const std::vector<double> totals{3, -1, 0x1p53 - 1, 0};
  std::vector<float> x{1, 1, 0, 5};
  AddTotal(GetParam(), totals.data(), -2, 0.5f, 4, x.data());
  EXPECT_EQ(x, (std::vector<float>{1.375f, 0.875f, 0x1p50f, 5}));
}

TEST_P(ExactSumTest, TheGridLiesBelowTheScaleOfTheRow) {
  std::mt19937 random(3);
  for (const int64_t width : {1, 15, 16, 17, 100, 2048}) {
    for (int scale = -120; scale <= 120; scale += 7) {
      std::vector<float> x = Values(static_cast<size_t>(width), scale - 3, scale, random());
      x[0] = std::ldexp(1.5f, scale);
      double squares = 0;
      for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
      const double rms = std::sqrt(squares / static_cast<double>(width));
      int32_t exponent = 0;
      FindGrid(GetParam(), x.data(), 0, 20, 1, width, &exponent);
      // A step is 2^-20 of the scale or less, and more than half of that. The mean of squares may
      // be rounded otherwise here, by a few 2^-53.
      EXPECT_LE(std::ldexp(1, exponent + 20), rms * (1 + 1e-12));
      EXPECT_GT(std::ldexp(1, exponent + 21), rms * (1 - 1e-12));
    }
  }
}

TEST_P(ExactSumTest, TheGridOfARowDependsOnTheRowAlone) {
  constexpr int64_t kWidth = 333;
  const std::vector<float> x = Values(kWidth * 9, -10, 3, 5);
  std::vector<int32_t> all(9), portable(9);
  FindGrid(GetParam(), x.data(), 1e-6f, 28, 9, kWidth, all.data());
  FindGrid(Isa::kPortable, x.data(), 1e-6f, 28, 9, kWidth, portable.data());
  EXPECT_EQ(all, portable);
  for (int64_t row = 0; row < 9; ++row) {
    int32_t one = 0;
    FindGrid(GetParam(), x.data() + row * kWidth, 1e-6f, 28, 1, kWidth, &one);
    EXPECT_EQ(one, all[static_cast<size_t>(row)]);
  }
}

TEST_P(ExactSumTest, EveryRowHasAGridThatOthersTake) {
  const float denormal = std::numeric_limits<float>::denorm_min();
  for (const float epsilon : {0.0f, 1e-6f}) {
    for (const float value : {0.0f, denormal, 3e38f, INFINITY, -INFINITY, NAN}) {
      for (const int bits : {20, 28}) {
        const std::vector<float> x(40, value);
        int32_t exponent = 0;
        FindGrid(GetParam(), x.data(), epsilon, bits, 1, 40, &exponent);
        EXPECT_GE(exponent, kMinGrid);
        EXPECT_LE(exponent, kMaxGrid);
        if (value == 0 && epsilon > 0) {
          EXPECT_EQ(exponent, -10 - bits);  // 1e-3 lies above 2^-10.
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, ExactSumTest, testing::ValuesIn(SupportedIsas()),
                         [](const auto& info) {
                           return info.param == Isa::kPortable ? "Portable"
                                  : info.param == Isa::kAvx2   ? "Avx2"
                                                               : "Avx512";
                         });

}  // namespace
}  // namespace conclave
