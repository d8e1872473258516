#include <cmath>
#include <limits>

#include "conformance/harness.h"
#include "kernels/reference/rows.h"

namespace conclave {
namespace {

class NormTest : public ConformanceTest {};

TEST_P(NormTest, IsWithinTheBoundOfTheExactNormAtAnyWidth) {
  for (const int64_t width : {1, 2, 7, 8, 15, 16, 63, 64, 65, 100, 128, 1024, 2048, 5001}) {
    const std::vector<float> x = Normal(3 * width, 1);
    const std::vector<float> weight = Normal(width, 2);
    const Tensor y = device_.Empty(3, width);
    device_->RmsNorm(device_.Upload(x, width), *device_->Store(weight), 1e-6f, y);
    const std::vector<float> actual = device_.Download(y);
    for (int64_t row = 0; row < 3; ++row) {
      const auto begin = x.begin() + row * width;
      const std::vector<double> exact =
          ReferenceRmsNorm({begin, begin + width}, {weight.begin(), weight.end()}, double{1e-6f});
      for (int64_t i = 0; i < width; ++i) {
        // The sum of squares has one sign and no more than width / 16 + 70 additions in a row, so
        // its relative error is at most as many e, halved by the root; divisions, root and two
        // products add 5 e.
        const double value = exact[static_cast<size_t>(i)];
        const double bound = (static_cast<double>(width) / 32 + 40) * kEpsilon * std::abs(value);
        EXPECT_NEAR(actual[static_cast<size_t>(row * width + i)], value, bound)
            << "width " << width;
      }
    }
  }
}

TEST_P(NormTest, GivesARowTheSameBitsAloneAndInPlace) {
  const int64_t width = 200;
  const Tensor x = device_.Upload(Normal(width * 9, 3), width);
  const VectorPtr weight = device_->Store(Normal(width, 4));
  std::vector<float> alone;
  for (int64_t row = 0; row < 9; ++row) {
    const Tensor one = device_.Empty(1, width);
    device_->RmsNorm(x.Slice(row, row + 1), *weight, 1e-5f, one);
    const std::vector<float> values = device_.Download(one);
    alone.insert(alone.end(), values.begin(), values.end());
  }
  device_->RmsNorm(x, *weight, 1e-5f, x);
  EXPECT_EQ(device_.Download(x), alone);
}

TEST_P(NormTest, OfTheFirstElementsLeavesTheOthers) {
  const std::vector<float> x = Normal(5 * 43, 11);
  const VectorPtr weight = device_->Store(Normal(33, 12));
  const Tensor rows = device_.Upload(x, 43);
  device_->RmsNorm(rows, *weight, 1e-5f, rows);
  const std::vector<float> actual = device_.Download(rows);
  for (int64_t row = 0; row < 5; ++row) {
    const auto begin = x.begin() + row * 43;
    const Tensor one = device_.Upload({begin, begin + 33}, 33);
    device_->RmsNorm(one, *weight, 1e-5f, one);
    std::vector<float> expected = device_.Download(one);
    expected.insert(expected.end(), begin + 33, begin + 43);
    const auto at = actual.begin() + row * 43;
    EXPECT_EQ(std::vector<float>(at, at + 43), expected);
  }
}

TEST_P(NormTest, MapsZerosToZeros) {
  const Tensor x = device_.Upload(std::vector<float>(40, 0.0f), 40);
  device_->RmsNorm(x, *device_->Store(std::vector<float>(40, 1.0f)), 1e-6f, x);
  EXPECT_EQ(device_.Download(x), std::vector<float>(40, 0.0f));
}

// Of the rows as they were, also where the norm is in place.
TEST_P(NormTest, FindsTheGridOfEachRow) {
  const int64_t width = 96;
  std::vector<float> x = Normal(7 * width, 5);
  for (int64_t i = 0; i < 7 * width; ++i)
    x[static_cast<size_t>(i)] *= std::ldexp(1.0f, static_cast<int>(i / width) * 20 - 60);
  std::fill_n(x.begin(), width, 0.0f);
  for (const float epsilon : {0.0f, 1e-6f}) {
    std::vector<int32_t> expected;
    for (int64_t row = 0; row < 7; ++row) {
      const auto begin = x.begin() + row * width;
      expected.push_back(ReferenceGrid({begin, begin + width}, double{epsilon}, 20));
    }
    const Tensor rows = device_.Upload(x, width);
    const GridOutput grid{device_.UploadIds(std::vector<int32_t>(7, 0), 1), 20};
    device_->RmsNorm(rows, *device_->Store(Normal(width, 6)), epsilon, rows, &grid);
    EXPECT_EQ(device_.Download(grid.exponents), expected);
  }
}

TEST_P(NormTest, KnowsLayerNorms) {
  for (const int64_t width : {1, 2, 15, 16, 33, 100, 1024, 5001}) {
    std::vector<float> x = Normal(3 * width, 21);
    for (float& v : x) v += 2;
    const std::vector<float> weight = Normal(width, 22);
    const std::vector<float> bias = Normal(width, 23);
    for (const bool biased : {false, true}) {
      const Tensor y = device_.Empty(3, width);
      const VectorPtr added = biased ? device_->Store(bias) : nullptr;
      const GridOutput grid{device_.UploadIds(std::vector<int32_t>(3, 0), 1), 20};
      device_->LayerNorm(device_.Upload(x, width), *device_->Store(weight), added.get(), 1e-5f, y,
                         &grid);
      const std::vector<float> actual = device_.Download(y);
      for (int64_t row = 0; row < 3; ++row) {
        const auto begin = x.begin() + row * width;
        const std::vector<double> exact = ReferenceLayerNorm({begin, begin + width}, double{1e-5f});
        EXPECT_EQ(device_.Download(grid.exponents)[static_cast<size_t>(row)],
                  ReferenceGrid({begin, begin + width}, double{1e-5f}, 20));
        for (int64_t i = 0; i < width; ++i) {
          const auto at = static_cast<size_t>(i);
          const double w = weight[at];
          const double b = biased ? double{bias[at]} : 0;
          // The mean errs by width / 16 + 20 e of the magnitudes, here below 7, and the deviation,
          // here above 0.003 at any width but 1, by as much; the rest are single roundings.
          const double relative = (static_cast<double>(width) / 16 + 40) * kEpsilon;
          const double scale = width == 1 ? 320 : 1 + 7 / 0.5;
          const double bound =
              relative * std::abs(w) * (std::abs(exact[at]) + scale) + 2 * kEpsilon * std::abs(b);
          EXPECT_NEAR(actual[static_cast<size_t>(row * width + i)], exact[at] * w + b, bound)
              << "width " << width;
        }
      }
    }
  }
}

class RotateTest : public ConformanceTest {};

Rope MakeRope(int rotary_dim, bool interleaved, float attention_factor) {
  Rope rope{.inverse_frequencies = {},
            .attention_factor = attention_factor,
            .rotary_dim = rotary_dim,
            .interleaved = interleaved};
  for (int i = 0; i < rotary_dim / 2; ++i) {
    rope.inverse_frequencies.push_back(
        std::pow(10000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(rotary_dim)));
  }
  return rope;
}

TEST_P(RotateTest, IsWithinTheBoundOfTheExactRotation) {
  const std::vector<int32_t> positions = {0, 1, 2, 3, 77, 4095, 131071, 1048575};
  const auto rows = static_cast<int64_t>(positions.size());
  const SequenceRows where{positions, {}, {}, {}};
  const auto placed = device_->Place(where);
  for (const int head_dim : {8, 16, 80, 128}) {
    for (const int rotary_dim : {head_dim, head_dim / 4 * 2, 0}) {
      for (const bool interleaved : {false, true}) {
        const Rope rope = MakeRope(rotary_dim, interleaved, 1.25f);
        // As many heads as queries and as keys have.
        std::vector<std::vector<float>> before;
        std::vector<Tensor> tensors;
        for (const int heads : {6, 1}) {
          before.push_back(Normal(rows * heads * head_dim, static_cast<unsigned>(heads)));
          tensors.push_back(device_.Upload(before.back(), int64_t{heads} * head_dim));
        }
        device_->Rotate(rope, *placed, head_dim, 0, tensors);
        for (size_t t = 0; t < tensors.size(); ++t) {
          const std::vector<float> actual = device_.Download(tensors[t]);
          const int64_t heads = tensors[t].width / head_dim;
          for (int64_t head = 0; head < rows * heads; ++head) {
            const auto begin = before[t].begin() + head * head_dim;
            const std::vector<double> exact = ReferenceRope(
                rope, positions[static_cast<size_t>(head / heads)], {begin, begin + head_dim});
            for (int64_t i = 0; i < head_dim; ++i) {
              // Sine, cosine, their products with the factor and with x, and the sum are each
              // rounded once: 4 e (|a| + |b|) * factor, and a pair of elements is at most 12 in sum
              // here.
              ASSERT_NEAR(actual[static_cast<size_t>(head * head_dim + i)],
                          exact[static_cast<size_t>(i)], 4 * kEpsilon * 12 * 1.25)
                  << "head " << head << " element " << i;
            }
          }
        }
      }
    }
  }
}

TEST_P(RotateTest, FromAnElementOnLeavesThoseBefore) {
  const std::vector<int32_t> positions = {0, 3, 4095};
  const SequenceRows where{positions, {}, {}, {}};
  const auto placed = device_->Place(where);
  const Rope rope = MakeRope(12, true, 1.25f);
  const std::vector<float> x = Normal(3 * 2 * 29, 13);
  const std::vector tensors = {device_.Upload(x, 2 * 29)};
  device_->Rotate(rope, *placed, 29, 17, tensors);
  const std::vector<float> actual = device_.Download(tensors[0]);
  for (int64_t head = 0; head < 6; ++head) {
    const auto begin = x.begin() + head * 29;
    const int32_t at[] = {positions[static_cast<size_t>(head / 2)]};
    const SequenceRows alone{at, {}, {}, {}};
    const std::vector rotated = {device_.Upload({begin + 17, begin + 29}, 12)};
    device_->Rotate(rope, *device_->Place(alone), 12, 0, rotated);
    std::vector<float> expected(begin, begin + 17);
    const std::vector<float> tail = device_.Download(rotated[0]);
    expected.insert(expected.end(), tail.begin(), tail.end());
    const auto actual_head = actual.begin() + head * 29;
    EXPECT_EQ(std::vector<float>(actual_head, actual_head + 29), expected);
  }
}

CONCLAVE_CONFORMANCE(NormTest);
CONCLAVE_CONFORMANCE(RotateTest);

}  // namespace
}  // namespace conclave
