// What only the CPU's matmuls say: groups with gaps, and refusals. What they compute is in
// conformance/.

#include "kernels/cpu/matmul/matmul.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "conclave/base/error.h"
#include "conformance/harness.h"
#include "conformance/weights.h"
#include "kernels/cpu/matmul/factory.h"

namespace conclave {
namespace {

PackedMatrix Pack(const MatmulKernels& kernels, const Format& format, int64_t rows, int64_t cols,
                  uint32_t seed) {
  const RandomMatrix matrix(format, rows, cols, seed);
  TestSource source = matrix.source();
  return kernels.Pack(source, format.format);
}

FfnWeights PackFfn(const MatmulKernels& kernels, const Format& format, int64_t hidden,
                   int64_t width, uint32_t seed) {
  return {Pack(kernels, format, width, hidden, seed),
          Pack(kernels, format, width, hidden, seed + 1),
          Pack(kernels, format, hidden, width, seed + 2)};
}

class MatmulTest : public testing::TestWithParam<Isa> {
 protected:
  std::unique_ptr<MatmulKernels> kernels_ = CreateMatmulKernels(GetParam());
  ThreadPool pool_{2};
};

TEST_P(MatmulTest, GroupsLeaveRowsOfNoGroup) {
  for (const Format& format : Formats()) {
    const FfnWeights weights = PackFfn(*kernels_, format, 40, 50, 1);
    // Rows 0, 1 and the last belong to no group; the second group is empty.
    const std::vector<FfnGroup> groups = {
        {&weights, 2, 3}, {&weights, 3, 3}, {&weights, 3, 110}, {&weights, 112, 119}};
    const std::vector<float> input = Normal(120 * 40, 7);
    std::vector<float> output(input.size(), kUntouched);
    kernels_->GroupedFfn(pool_, groups, input.data(), output.data());
    for (int64_t row = 0; row < 120; ++row) {
      const bool outside = row < 2 || row == 110 || row == 111 || row == 119;
      EXPECT_EQ(output[static_cast<size_t>(row * 40)] == kUntouched, outside) << "row " << row;
    }
  }
}

TEST_P(MatmulTest, GroupsGiveARowTheSameBitsInEveryGroup) {
  constexpr int64_t kHidden = 96;
  constexpr int64_t kMost = 60;
  for (const Format& format : Formats()) {
    const FfnWeights weights = PackFfn(*kernels_, format, kHidden, 80, 1);
    const FfnWeights other = PackFfn(*kernels_, format, kHidden, 80, 9);
    const std::vector<float> input = Normal((kMost + 3) * kHidden, 8);
    std::vector<float> alone(static_cast<size_t>(kMost * kHidden));
    for (int64_t i = 0; i < kMost; ++i) {
      const FfnGroup group{&weights, 0, 1};
      kernels_->GroupedFfn(pool_, {&group, 1}, input.data() + (i + 3) * kHidden,
                           alone.data() + i * kHidden);
    }
    ThreadPool one(1);
    for (int64_t m = 2; m <= kMost; m = m < 36 ? m + 1 : m + 24) {
      const std::vector<FfnGroup> groups = {{&other, 0, 3}, {&weights, 3, 3 + m}};
      std::vector<float> together(static_cast<size_t>((m + 3) * kHidden));
      kernels_->GroupedFfn(m % 2 == 0 ? pool_ : one, groups, input.data(), together.data());
      ASSERT_EQ(std::memcmp(together.data() + 3 * kHidden, alone.data(),
                            static_cast<size_t>(m * kHidden) * sizeof(float)),
                0)
          << format.name << " m " << m;
    }
  }
}

TEST_P(MatmulTest, NothingToDoTouchesNothing) {
  const PackedMatrix w = Pack(*kernels_, Formats()[0], 20, 30, 1);
  kernels_->Matmul(pool_, w, nullptr, 0, nullptr, nullptr);
  kernels_->GroupedFfn(pool_, {}, nullptr, nullptr);
  const FfnWeights weights = PackFfn(*kernels_, Formats()[0], 30, 20, 1);
  const FfnGroup empty{&weights, 4, 4};
  kernels_->GroupedFfn(pool_, {&empty, 1}, nullptr, nullptr);
}

TEST_P(MatmulTest, RefusesWeightsOfOtherShapesOrNone) {
  const PackedMatrix a = Pack(*kernels_, Formats()[0], 20, 30, 1);
  const PackedMatrix b = Pack(*kernels_, Formats()[0], 20, 31, 1);
  std::vector<float> buffer(1000);
  float* const outputs[] = {buffer.data(), buffer.data()};
  const float* const biases[] = {nullptr, nullptr};
  const PackedMatrix* const unequal[] = {&a, &b};
  EXPECT_THROW(kernels_->MatmulMany(pool_, unequal, buffer.data(), 1, biases, outputs), Error);
  EXPECT_THROW(kernels_->Matmul(pool_, PackedMatrix(), buffer.data(), 1, nullptr, buffer.data()),
               Error);
  EXPECT_THROW(kernels_->Matmul(pool_, a, buffer.data(), -1, nullptr, buffer.data()), Error);
  const FfnWeights wrong{.gate = a, .up = a, .down = a};
  const FfnGroup group{&wrong, 0, 1};
  EXPECT_THROW(kernels_->GroupedFfn(pool_, {&group, 1}, buffer.data(), buffer.data()), Error);
}

TEST_P(MatmulTest, RefusesToPackNothing) {
  const float x[4] = {};
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{0, 1}, {1, 0}}) {
    MemorySource source(x, SourceType::kF32, rows, cols, 1);
    EXPECT_THROW(kernels_->Pack(source, WeightsFormat::kF32), Error);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, MatmulTest, testing::ValuesIn(SupportedIsas()),
                         [](const auto& info) { return IsaName(info.param); });

TEST(MatmulKernels, RefuseWeightsPackedForAnotherInstructionSet) {
  if (SupportedIsas().size() < 2)
    GTEST_SKIP() << "this CPU has no AVX2: only the portable kernels run";
  const PackedMatrix w = Pack(*CreateMatmulKernels(Isa::kPortable), Formats()[0], 4, 4, 1);
  ThreadPool pool(1);
  float buffer[4] = {};
  EXPECT_THROW(CreateMatmulKernels(Isa::kAvx2)->Matmul(pool, w, buffer, 1, nullptr, buffer), Error);
}

TEST(MatmulKernels, RefuseAnInstructionSetThatTheCpuLacks) {
  const CpuFeatures none;
  EXPECT_THROW(TilesFor(Isa::kAvx2, none, Bf16Pairs::kWhereFast), Error);
  EXPECT_THROW(TilesFor(Isa::kAvx512, none, Bf16Pairs::kWhereFast), Error);
}

TEST(MatmulKernels, SupportPortableFirst) {
  const std::vector<Isa> isas = SupportedIsas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::kPortable);
  for (Isa isa : isas) EXPECT_EQ(CreateMatmulKernels(isa)->isa(), isa);
}

}  // namespace
}  // namespace conclave
