// Weights come and go while steps run: what they are read from, and the memory that they take.

#include <gtest/gtest.h>

#include "base/expect_error.h"
#include "conclave/base/message.h"
#include "conformance/weights.h"
#include "emulation/stream.h"
#include "kernels/cuda/backend.h"

namespace conclave {
namespace {

constexpr int64_t kWidth = 64;

class LoadingTest : public testing::Test {
 protected:
  ~LoadingTest() override {
    emu::device().fails_after = 0;
    emu::device().most_bytes = int64_t{4} << 30;
  }

  // A matrix all of whose elements are `value`.
  MatrixPtr Load(float value, int64_t rows = kWidth) {
    const std::vector<float> values(static_cast<size_t>(rows * kWidth), value);
    MemorySource source(values.data(), SourceType::kF32, rows, kWidth, kWidth);
    return backend_->Pack(source, WeightsFormat::kBF16);
  }
  // Sums of a row of ones with the matrix; not waited for.
  Tensor Multiply(const Matrix& matrix) {
    const std::vector<float> ones(kWidth, 1);
    const Tensor x = backend_->scratch().Rows(1, kWidth);
    backend_->Upload(ActivationType::kF32,
                     {reinterpret_cast<const uint8_t*>(ones.data()), kWidth * sizeof(float)}, x);
    const Tensor output = backend_->scratch().Rows(1, matrix.rows());
    const LinearOutput outputs[] = {{&matrix, nullptr, output}};
    backend_->Linear(x, outputs);
    return output;
  }
  std::vector<float> Wait(const Tensor& x) {
    std::vector<float> values(static_cast<size_t>(x.elements()));
    backend_->Download(x, values);
    backend_->Synchronise();
    return values;
  }

  const std::unique_ptr<Backend> backend_ = cuda::CreateBackend(0, 1);
};

TEST_F(LoadingTest, TakesNoMemoryForWeightsThatOthersLeft) {
  std::vector<MatrixPtr> experts;
  for (int i = 0; i < 20; ++i) experts.push_back(Load(1));
  Wait(Multiply(*experts.back()));
  const int64_t allocations = emu::device().allocations;
  for (int round = 0; round < 3; ++round) {
    for (const size_t i : {3, 7, 11}) {
      experts[i] = nullptr;
      experts[i] = Load(static_cast<float>(round));
    }
  }
  EXPECT_EQ(emu::device().allocations, allocations);
  EXPECT_EQ(Wait(Multiply(*experts[7])), std::vector<float>(kWidth, 2 * kWidth));
  EXPECT_EQ(Wait(Multiply(*experts[8])), std::vector<float>(kWidth, kWidth));
}

TEST_F(LoadingTest, WritesOverNothingThatAStepMayStillRead) {
  MatrixPtr old = Load(1);
  const Tensor output = Multiply(*old);
  old = nullptr;
  const MatrixPtr other = Load(5);
  EXPECT_EQ(Wait(output), std::vector<float>(kWidth, kWidth));
  // Now that the step is done.
  const int64_t allocations = emu::device().allocations;
  const MatrixPtr third = Load(3);
  EXPECT_EQ(emu::device().allocations, allocations);
  EXPECT_EQ(Wait(Multiply(*other)), std::vector<float>(kWidth, 5 * kWidth));
  EXPECT_EQ(Wait(Multiply(*third)), std::vector<float>(kWidth, 3 * kWidth));
}

TEST_F(LoadingTest, GivesUpWhatHoldsNothingWhereMemoryIsShort) {
  MatrixPtr kept = Load(1);
  MatrixPtr gone = Load(1, 4096);
  Wait(Multiply(*kept));
  emu::device().most_bytes = emu::device().allocated_bytes + 1000;
  const KvCacheShape shape{16, 16, 1, 64};
  ExpectError(ErrorCode::kOutOfMemory, "cache of keys and values: cudaMalloc: no memory for",
              [&] { backend_->CreateCache(shape, KvType::kBF16); });
  gone = nullptr;
  EXPECT_NE(backend_->CreateCache(shape, KvType::kBF16), nullptr);
  EXPECT_NE(Load(1, 2048), nullptr);
  EXPECT_EQ(Wait(Multiply(*kept)), std::vector<float>(kWidth, kWidth));
}

// Larger than the pinned memory that it goes through.
TEST_F(LoadingTest, LoadsMatricesInPieces) {
  constexpr int64_t kRows = 100'000;
  std::vector<float> values(kRows * kWidth);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i / kWidth);
  MemorySource source(values.data(), SourceType::kF32, kRows, kWidth, kWidth);
  const EmbeddingPtr table = backend_->PackEmbedding(source, WeightsFormat::kF32);
  const std::vector<int32_t> tokens = {0, 1, 16'383, 16'384, 32'768, 65'537, kRows - 1};
  const Tensor output = backend_->scratch().Rows(static_cast<int64_t>(tokens.size()), kWidth);
  backend_->Embed(*table, tokens, 1, output);
  const std::vector<float> rows = Wait(output);
  for (size_t i = 0; i < tokens.size(); ++i) {
    for (size_t col = 0; col < kWidth; ++col)
      ASSERT_EQ(rows[i * kWidth + col], static_cast<float>(tokens[i])) << i << ", " << col;
  }
}

TEST_F(LoadingTest, LeavesNothingOfWeightsThatCannotBeRead) {
  const MatrixPtr kept = Load(1);
  std::vector<float> values(kWidth * kWidth, 1);
  values.back() = std::numeric_limits<float>::infinity();
  MemorySource broken(values.data(), SourceType::kF32, kWidth, kWidth, kWidth);
  const int64_t before = emu::device().allocations;
  for (int i = 0; i < 3; ++i) {
    ExpectError(ErrorCode::kNonFinite, "", [&] { backend_->Pack(broken, WeightsFormat::kBF16); });
  }
  EXPECT_LE(emu::device().allocations, before + 1);
  EXPECT_EQ(Wait(Multiply(*Load(2))), std::vector<float>(kWidth, 2 * kWidth));
}

TEST_F(LoadingTest, SaysThatTheDeviceIsLost) {
  Load(1);
  emu::device().fails_after = 1;
  ExpectError(ErrorCode::kDeviceLost, "weights: cuda", [&] { Load(1); });
}

}  // namespace
}  // namespace conclave
