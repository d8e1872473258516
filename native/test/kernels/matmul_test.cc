// Bounds used here. With e = 2^-24 (half an ulp of f32) and n columns, a sum of n products in f32,
// in any order, differs from the exact one by at most n * e * S to first order, where S = sum |x_k
// w_k|. Rounding x to bf16 adds at most 2^-9 * S, rounding w as much again. Quantising a group of
// 32 to int8 moves each element by at most half a step, which is (max of the group) / 254: that
// adds sum_k (|x_k| dw + |w_k| dx + dx dw) per group.

#include "kernels/cpu/matmul/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "conclave/base/error.h"
#include "conclave/base/number_formats.h"
#include "kernels/cpu/matmul/factory.h"
#include "kernels/reference/matmul_reference.h"

namespace conclave {
namespace {

constexpr double kEpsilon = 0x1p-24;

// A random checkpoint matrix with its bytes, at a stride and, where asked for, an odd address.
struct Source {
  SourceMatrix matrix;
  std::vector<uint8_t> bytes;
};

uint16_t F16FromSmallInteger(int value) {
  // value / 256 for |value| < 2048 is exact in f16; tests need no other f16 numbers.
  const auto magnitude = static_cast<float>(std::abs(value)) / 256;
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    if (F16ToFloat(static_cast<uint16_t>(bits)) == magnitude)
      return static_cast<uint16_t>(bits | (value < 0 ? 0x8000 : 0));
  }
  return 0;
}

Source RandomSource(SourceType type, int64_t rows, int64_t cols, uint32_t seed,
                    int64_t extra_stride = 0, size_t misalign = 0) {
  static const std::vector<uint16_t> f16_table = [] {
    std::vector<uint16_t> table;
    for (int i = -255; i < 256; ++i) table.push_back(F16FromSmallInteger(i));
    return table;
  }();
  Source source;
  const size_t size = type == SourceType::kF32 ? 4 : 2;
  const int64_t stride = cols + extra_stride;
  source.bytes.resize(static_cast<size_t>(rows * stride) * size + misalign);
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (int64_t i = 0; i < rows * stride; ++i) {
    uint8_t* element = source.bytes.data() + misalign + static_cast<size_t>(i) * size;
    const float value = uniform(random);
    if (type == SourceType::kF32) {
      std::memcpy(element, &value, 4);
    } else {
      const uint16_t bits =
          type == SourceType::kBF16 ? FloatToBf16(value) : f16_table[random() % f16_table.size()];
      std::memcpy(element, &bits, 2);
    }
  }
  source.matrix = {source.bytes.data() + misalign, type, rows, cols, stride};
  return source;
}

std::vector<float> RandomRows(int64_t rows, int64_t cols, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> out(static_cast<size_t>(rows * cols));
  for (float& x : out) x = normal(random);
  return out;
}

std::vector<double> Widen(const std::vector<float>& x) { return {x.begin(), x.end()}; }

double GroupStep(const double* x, int64_t first, int64_t cols) {
  double largest = 0;
  for (int64_t k = first; k < std::min(first + 32, cols); ++k)
    largest = std::max(largest, std::abs(x[k]));
  return largest / 254;
}

// Largest error that the head comment allows for one output element.
double Bound(const double* x, const double* w, int64_t cols, WeightsFormat format) {
  double magnitude = 0;
  double quantised = 0;
  for (int64_t k = 0; k < cols; ++k) {
    magnitude += std::abs(x[k] * w[k]);
    if (format != WeightsFormat::kQ8) continue;
    const double dx = GroupStep(x, k / 32 * 32, cols);
    const double dw = GroupStep(w, k / 32 * 32, cols);
    quantised += std::abs(x[k]) * dw + std::abs(w[k]) * dx + dx * dw;
  }
  const double sums = static_cast<double>(cols + 8) * kEpsilon * (magnitude + quantised);
  switch (format) {
    case WeightsFormat::kF32:
      return sums;
    case WeightsFormat::kBF16:
      return sums + 2.01 * 0x1p-9 * magnitude;
    case WeightsFormat::kQ8:
      return sums + quantised * (1 + 0x1p-20);
  }
  return 0;
}

void ExpectClose(const std::vector<float>& actual, const std::vector<double>& w, int64_t rows,
                 int64_t cols, const std::vector<float>& input, WeightsFormat format,
                 const float* bias) {
  const std::vector<double> x = Widen(input);
  const std::vector<double> expected = ReferenceMatmul(w, rows, cols, x);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    const size_t row = i / static_cast<size_t>(rows);
    const size_t column = i % static_cast<size_t>(rows);
    const double shift = bias != nullptr ? bias[column] : 0;
    const double bound = Bound(&x[row * static_cast<size_t>(cols)],
                               &w[column * static_cast<size_t>(cols)], cols, format);
    ASSERT_NEAR(actual[i], expected[i] + shift,
                bound + kEpsilon * (std::abs(shift) + std::abs(expected[i])))
        << "row " << row << " column " << column;
  }
}

// An instruction set, as this machine has it or without an extension that others have.
struct Variant {
  std::string name;
  Isa isa;
  CpuFeatures features;
  Bf16Pairs pairs = Bf16Pairs::kWhereFast;
};

std::vector<Variant> Variants() {
  const CpuFeatures all = DetectCpuFeatures();
  std::vector<Variant> variants = {{"portable", Isa::kPortable, all},
                                   {"portable_bf16", Isa::kPortable, all, Bf16Pairs::kAlways}};
  if (all.avx2) variants.push_back({"avx2", Isa::kAvx2, all});
  if (all.avx512) {
    CpuFeatures bare = all;
    bare.avx512_vnni = bare.fast_bf16_dot = false;
    variants.push_back({"avx512_bare", Isa::kAvx512, bare});
    CpuFeatures extended = all;
    extended.fast_bf16_dot = all.avx512_bf16;
    if (all.avx512_bf16 || all.avx512_vnni)
      variants.push_back({"avx512_extended", Isa::kAvx512, extended});
  }
  return variants;
}

struct Format {
  std::string name;
  SourceType source;
  WeightsFormat format;
};

const std::vector<Format> kFormats = {
    {"f32_from_f32", SourceType::kF32, WeightsFormat::kF32},
    {"f32_from_f16", SourceType::kF16, WeightsFormat::kF32},
    {"f32_from_bf16", SourceType::kBF16, WeightsFormat::kF32},
    {"bf16_from_f32", SourceType::kF32, WeightsFormat::kBF16},
    {"bf16_from_f16", SourceType::kF16, WeightsFormat::kBF16},
    {"bf16_from_bf16", SourceType::kBF16, WeightsFormat::kBF16},
    {"q8_from_f32", SourceType::kF32, WeightsFormat::kQ8},
    {"q8_from_f16", SourceType::kF16, WeightsFormat::kQ8},
    {"q8_from_bf16", SourceType::kBF16, WeightsFormat::kQ8},
};

class MatmulTest : public testing::TestWithParam<std::tuple<Variant, Format>> {
 protected:
  void SetUp() override {
    const Variant& variant = std::get<0>(GetParam());
    kernels_ = CreateMatmulKernels(TilesFor(variant.isa, variant.features, variant.pairs));
    ASSERT_EQ(kernels_->isa(), variant.isa);
  }
  SourceType source() const { return std::get<1>(GetParam()).source; }
  WeightsFormat format() const { return std::get<1>(GetParam()).format; }

  std::unique_ptr<MatmulKernels> kernels_;
  ThreadPool pool_{2};
};

TEST_P(MatmulTest, EqualsTheReference) {
  const std::tuple<int64_t, int64_t, int64_t> shapes[] = {
      {1, 1, 1},    {1, 31, 7},    {3, 32, 16},  {5, 33, 17},   {2, 64, 32},
      {7, 100, 65}, {13, 96, 48},  {16, 128, 1}, {29, 257, 33}, {40, 64, 96},
      {130, 50, 8}, {1, 1000, 90}, {200, 40, 70}};
  for (const auto& [m, cols, rows] : shapes) {
    SCOPED_TRACE("m " + std::to_string(m) + " cols " + std::to_string(cols) + " rows " +
                 std::to_string(rows));
    const Source source = RandomSource(this->source(), rows, cols, 1, 3, 1);
    const PackedMatrix w = kernels_->Pack(source.matrix, format());
    EXPECT_EQ(w.rows(), rows);
    EXPECT_EQ(w.cols(), cols);
    EXPECT_GT(w.bytes(), 0u);
    const std::vector<float> input = RandomRows(m, cols, 2);
    const std::vector<float> bias = RandomRows(1, rows, 3);
    std::vector<float> output(static_cast<size_t>(m * rows), -777);
    const std::vector<double> reference = ReferenceWeights(source.matrix);
    kernels_->Matmul(pool_, w, input.data(), m, nullptr, output.data());
    ExpectClose(output, reference, rows, cols, input, format(), nullptr);
    kernels_->Matmul(pool_, w, input.data(), m, bias.data(), output.data());
    ExpectClose(output, reference, rows, cols, input, format(), bias.data());
  }
}

TEST_P(MatmulTest, ARowIsTheSameInEveryBatchAndOnAnyNumberOfThreads) {
  constexpr int64_t kRows = 70;
  constexpr int64_t kCols = 200;
  constexpr int64_t kMost = 120;
  const Source source = RandomSource(this->source(), kRows, kCols, 4);
  const PackedMatrix w = kernels_->Pack(source.matrix, format());
  const std::vector<float> input = RandomRows(kMost, kCols, 5);
  std::vector<float> alone(static_cast<size_t>(kMost * kRows));
  for (int64_t i = 0; i < kMost; ++i) {
    kernels_->Matmul(pool_, w, input.data() + i * kCols, 1, nullptr, alone.data() + i * kRows);
  }
  ThreadPool one(1);
  ThreadPool three(3);
  for (ThreadPool* pool : {&one, &pool_, &three}) {
    for (int64_t m = 2; m <= kMost; m = m < 40 ? m + 1 : m + 40) {
      const int64_t first = (m * 7) % (kMost - m + 1);
      std::vector<float> together(static_cast<size_t>(m * kRows));
      kernels_->Matmul(*pool, w, input.data() + first * kCols, m, nullptr, together.data());
      ASSERT_EQ(std::memcmp(together.data(), alone.data() + first * kRows,
                            together.size() * sizeof(float)),
                0)
          << "m " << m << " threads " << pool->threads();
    }
  }
}

TEST_P(MatmulTest, ManyMatricesEqualOneByOne) {
  constexpr int64_t kCols = 72;
  const std::vector<float> input = RandomRows(9, kCols, 6);
  std::vector<PackedMatrix> w;
  std::vector<std::vector<float>> biases;
  std::vector<std::vector<float>> expected;
  std::vector<std::vector<float>> actual;
  for (int64_t rows : {64, 17, 33}) {
    w.push_back(kernels_->Pack(
        RandomSource(source(), rows, kCols, static_cast<uint32_t>(rows)).matrix, format()));
    biases.push_back(RandomRows(1, rows, static_cast<uint32_t>(rows)));
    expected.emplace_back(static_cast<size_t>(9 * rows));
    actual.emplace_back(static_cast<size_t>(9 * rows));
  }
  const PackedMatrix* const matrices[] = {&w[0], &w[1], &w[2]};
  const float* const bias[] = {biases[0].data(), nullptr, biases[2].data()};
  float* const outputs[] = {actual[0].data(), actual[1].data(), actual[2].data()};
  for (size_t i = 0; i < w.size(); ++i)
    kernels_->Matmul(pool_, w[i], input.data(), 9, bias[i], expected[i].data());
  kernels_->MatmulMany(pool_, matrices, input.data(), 9, bias, outputs);
  EXPECT_EQ(actual, expected);
}

// One expert with its sources, for the reference.
struct Expert {
  Source gate, up, down;
  FfnWeights weights;
};

Expert RandomExpert(const MatmulKernels& kernels, const Format& format, int64_t hidden,
                    int64_t width, uint32_t seed) {
  Expert expert{RandomSource(format.source, width, hidden, seed),
                RandomSource(format.source, width, hidden, seed + 1),
                RandomSource(format.source, hidden, width, seed + 2),
                {}};
  expert.weights.gate = kernels.Pack(expert.gate.matrix, format.format);
  expert.weights.up = kernels.Pack(expert.up.matrix, format.format);
  expert.weights.down = kernels.Pack(expert.down.matrix, format.format);
  return expert;
}

// The bound of an FFN follows from those of its matmuls: with g, u the exact gate and up and dg, du
// their bounds, h = silu(g) u moves by at most dh = 1.1 dg (|u| + du) + |silu(g)| du (|silu'|
// < 1.1), and a few roundings of h; y moves by sum |w| dh plus down's own bound.
void ExpectFfnClose(const float* actual, const Expert& expert, const float* input, int64_t m,
                    int64_t hidden, int64_t width, WeightsFormat format) {
  const std::vector<double> wg = ReferenceWeights(expert.gate.matrix);
  const std::vector<double> wu = ReferenceWeights(expert.up.matrix);
  const std::vector<double> wd = ReferenceWeights(expert.down.matrix);
  for (int64_t row = 0; row < m; ++row) {
    const std::vector<double> x(input + row * hidden, input + (row + 1) * hidden);
    const std::vector<double> g = ReferenceMatmul(wg, width, hidden, x);
    const std::vector<double> u = ReferenceMatmul(wu, width, hidden, x);
    const std::vector<double> h = ReferenceSwiGlu(g, u);
    const std::vector<double> y = ReferenceMatmul(wd, hidden, width, h);
    std::vector<double> dh(h.size());
    std::vector<double> largest_h(h.size());
    for (int64_t i = 0; i < width; ++i) {
      const auto at = static_cast<size_t>(i);
      const double dg = Bound(x.data(), &wg[static_cast<size_t>(i * hidden)], hidden, format);
      const double du = Bound(x.data(), &wu[static_cast<size_t>(i * hidden)], hidden, format);
      dh[at] = 1.1 * dg * (std::abs(u[at]) + du) + std::abs(g[at] / (1 + std::exp(-g[at]))) * du +
               8 * kEpsilon * std::abs(h[at]);
      largest_h[at] = std::abs(h[at]) + dh[at];
    }
    for (int64_t j = 0; j < hidden; ++j) {
      const double* w = &wd[static_cast<size_t>(j * width)];
      double bound = Bound(largest_h.data(), w, width, format);
      for (int64_t i = 0; i < width; ++i) bound += std::abs(w[i]) * dh[static_cast<size_t>(i)];
      ASSERT_NEAR(actual[row * hidden + j], y[static_cast<size_t>(j)], bound)
          << "row " << row << " column " << j;
    }
  }
}

TEST_P(MatmulTest, GroupedFfnEqualsTheReferenceForGroupsOfEverySize) {
  for (const auto& [hidden, width] : {std::pair<int64_t, int64_t>{64, 96}, {33, 17}, {40, 50}}) {
    SCOPED_TRACE("hidden " + std::to_string(hidden) + " width " + std::to_string(width));
    std::vector<Expert> experts;
    for (uint32_t seed = 0; seed < 4; ++seed) {
      experts.push_back(RandomExpert(*kernels_, std::get<1>(GetParam()), hidden, width, seed * 10));
    }
    // Rows 0, 1 and the last belong to no group; the second group is empty.
    const std::vector<FfnGroup> groups = {{&experts[0].weights, 2, 3},
                                          {&experts[1].weights, 3, 3},
                                          {&experts[2].weights, 3, 110},
                                          {&experts[3].weights, 112, 119}};
    const std::vector<float> input = RandomRows(120, hidden, 7);
    std::vector<float> output(input.size(), -777);
    kernels_->GroupedFfn(pool_, groups, input.data(), output.data());
    for (size_t i = 0; i < groups.size(); ++i) {
      ExpectFfnClose(output.data() + groups[i].begin * hidden, experts[i],
                     input.data() + groups[i].begin * hidden, groups[i].end - groups[i].begin,
                     hidden, width, format());
    }
    for (int64_t row : {0, 1, 110, 111, 119}) {
      for (int64_t j = 0; j < hidden; ++j)
        ASSERT_EQ(output[static_cast<size_t>(row * hidden + j)], -777) << "row " << row;
    }
  }
}

TEST_P(MatmulTest, GroupedFfnGivesARowTheSameInEveryGroup) {
  constexpr int64_t kHidden = 96;
  constexpr int64_t kWidth = 80;
  constexpr int64_t kMost = 60;
  const Expert expert = RandomExpert(*kernels_, std::get<1>(GetParam()), kHidden, kWidth, 1);
  const Expert other = RandomExpert(*kernels_, std::get<1>(GetParam()), kHidden, kWidth, 9);
  const std::vector<float> input = RandomRows(kMost + 3, kHidden, 8);
  std::vector<float> alone(static_cast<size_t>(kMost * kHidden));
  for (int64_t i = 0; i < kMost; ++i) {
    const FfnGroup group{&expert.weights, 0, 1};
    kernels_->GroupedFfn(pool_, {&group, 1}, input.data() + (i + 3) * kHidden,
                         alone.data() + i * kHidden);
  }
  ThreadPool one(1);
  for (int64_t m = 2; m <= kMost; m = m < 36 ? m + 1 : m + 24) {
    const std::vector<FfnGroup> groups = {{&other.weights, 0, 3}, {&expert.weights, 3, 3 + m}};
    std::vector<float> together(static_cast<size_t>((m + 3) * kHidden));
    kernels_->GroupedFfn(m % 2 == 0 ? pool_ : one, groups, input.data(), together.data());
    ASSERT_EQ(std::memcmp(together.data() + 3 * kHidden, alone.data(),
                          static_cast<size_t>(m * kHidden) * sizeof(float)),
              0)
        << "m " << m;
  }
}

TEST_P(MatmulTest, NothingToDoTouchesNothing) {
  const PackedMatrix w = kernels_->Pack(RandomSource(source(), 20, 30, 1).matrix, format());
  kernels_->Matmul(pool_, w, nullptr, 0, nullptr, nullptr);
  kernels_->GroupedFfn(pool_, {}, nullptr, nullptr);
  const Expert expert = RandomExpert(*kernels_, std::get<1>(GetParam()), 30, 20, 1);
  const FfnGroup empty{&expert.weights, 4, 4};
  kernels_->GroupedFfn(pool_, {&empty, 1}, nullptr, nullptr);
}

TEST_P(MatmulTest, PackRefusesNonFiniteWeights) {
  const uint32_t f32[] = {0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001};
  const uint16_t f16[] = {0x7c00, 0xfc00, 0x7e00, 0x7c01};
  const uint16_t bf16[] = {0x7f80, 0xff80, 0x7fc0, 0x7f81};
  for (int64_t at : {0, 41, 20 * 33 - 1}) {
    for (size_t bad = 0; bad < 4; ++bad) {
      Source source = RandomSource(this->source(), 20, 33, 1);
      if (this->source() == SourceType::kF32) {
        std::memcpy(source.bytes.data() + at * 4, &f32[bad], 4);
      } else {
        std::memcpy(source.bytes.data() + at * 2,
                    this->source() == SourceType::kF16 ? &f16[bad] : &bf16[bad], 2);
      }
      try {
        kernels_->Pack(source.matrix, format());
        ADD_FAILURE() << "element " << at << " was accepted";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kNonFinite);
        EXPECT_NE(
            std::string(error.what())
                .find("row " + std::to_string(at / 33) + ", column " + std::to_string(at % 33)),
            std::string::npos)
            << error.what();
      }
    }
  }
}

// NaN and infinity must come through, so that sampling sees them, and must not spread to other
// rows.
TEST_P(MatmulTest, NonFiniteActivationsStayInTheirRow) {
  constexpr int64_t kCols = 70;
  const PackedMatrix w = kernels_->Pack(RandomSource(source(), 40, kCols, 1).matrix, format());
  for (float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> input = RandomRows(5, kCols, 2);
    std::vector<float> clean(5 * 40);
    kernels_->Matmul(pool_, w, input.data(), 5, nullptr, clean.data());
    input[2 * kCols + 69] = bad;
    std::vector<float> output(5 * 40);
    kernels_->Matmul(pool_, w, input.data(), 5, nullptr, output.data());
    for (size_t i = 0; i < output.size(); ++i) {
      if (i / 40 == 2) {
        EXPECT_FALSE(std::isfinite(output[i])) << i;
      } else {
        EXPECT_EQ(output[i], clean[i]) << i;
      }
    }
  }
}

TEST_P(MatmulTest, RefusesWeightsOfOtherShapesOrNone) {
  const PackedMatrix a = kernels_->Pack(RandomSource(source(), 20, 30, 1).matrix, format());
  const PackedMatrix b = kernels_->Pack(RandomSource(source(), 20, 31, 1).matrix, format());
  std::vector<float> buffer(1000);
  float* const outputs[] = {buffer.data(), buffer.data()};
  const float* const biases[] = {nullptr, nullptr};
  const PackedMatrix* const unequal[] = {&a, &b};
  EXPECT_THROW(kernels_->MatmulMany(pool_, unequal, buffer.data(), 1, biases, outputs), Error);
  EXPECT_THROW(kernels_->Matmul(pool_, PackedMatrix(), buffer.data(), 1, nullptr, buffer.data()),
               Error);
  EXPECT_THROW(kernels_->Matmul(pool_, a, buffer.data(), -1, nullptr, buffer.data()), Error);
  const FfnWeights wrong{a, a, a};
  const FfnGroup group{&wrong, 0, 1};
  EXPECT_THROW(kernels_->GroupedFfn(pool_, {&group, 1}, buffer.data(), buffer.data()), Error);
}

INSTANTIATE_TEST_SUITE_P(Kernels, MatmulTest,
                         testing::Combine(testing::ValuesIn(Variants()),
                                          testing::ValuesIn(kFormats)),
                         [](const auto& info) {
                           return std::get<0>(info.param).name + "_" + std::get<1>(info.param).name;
                         });

TEST(MatmulKernels, RefuseWeightsPackedForAnotherInstructionSet) {
  if (SupportedIsas().size() < 2)
    GTEST_SKIP() << "this CPU has no AVX2: only the portable kernels run";
  const auto portable = CreateMatmulKernels(Isa::kPortable);
  const auto avx2 = CreateMatmulKernels(Isa::kAvx2);
  const PackedMatrix w =
      portable->Pack(RandomSource(SourceType::kF32, 4, 4, 1).matrix, WeightsFormat::kF32);
  ThreadPool pool(1);
  float buffer[4] = {};
  EXPECT_THROW(avx2->Matmul(pool, w, buffer, 1, nullptr, buffer), Error);
}

TEST(MatmulKernels, RefuseAnInstructionSetThatTheCpuLacks) {
  const CpuFeatures none;
  EXPECT_THROW(TilesFor(Isa::kAvx2, none, Bf16Pairs::kWhereFast), Error);
  EXPECT_THROW(TilesFor(Isa::kAvx512, none, Bf16Pairs::kWhereFast), Error);
}

TEST(MatmulKernels, PackRefusesBadShapes) {
  const auto kernels = CreateMatmulKernels(Isa::kPortable);
  const float x[4] = {};
  for (const SourceMatrix& source : {SourceMatrix{nullptr, SourceType::kF32, 1, 1, 1},
                                     {x, SourceType::kF32, 0, 1, 1},
                                     {x, SourceType::kF32, 1, 0, 1},
                                     {x, SourceType::kF32, 1, 2, 1}}) {
    EXPECT_THROW(kernels->Pack(source, WeightsFormat::kF32), Error);
  }
}

TEST(MatmulKernels, PackRefusesWhatRoundsBeyondBf16) {
  const auto kernels = CreateMatmulKernels(SupportedIsas().back());
  const float largest[2] = {1, std::numeric_limits<float>::max()};
  const SourceMatrix source = {largest, SourceType::kF32, 1, 2, 2};
  kernels->Pack(source, WeightsFormat::kF32);
  EXPECT_THROW(kernels->Pack(source, WeightsFormat::kBF16), Error);
}

TEST(MatmulKernels, SupportPortableFirst) {
  const std::vector<Isa> isas = SupportedIsas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::kPortable);
  for (Isa isa : isas) EXPECT_EQ(CreateMatmulKernels(isa)->isa(), isa);
}

}  // namespace
}  // namespace conclave
