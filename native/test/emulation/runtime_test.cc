// What the backend does with failures of the device, and with its memory.

#include <gtest/gtest.h>

#include "base/expect_error.h"
#include "emulation/stream.h"
#include "kernels/cuda/backend.h"

namespace conclave {
namespace {

class RuntimeTest : public testing::Test {
 protected:
  ~RuntimeTest() override {
    emu::device().fails_after = 0;
    emu::device().most_bytes = int64_t{4} << 30;
  }
};

Tensor Ones(Backend& backend, int64_t count) {
  const Tensor x = backend.scratch().Rows(1, count);
  const std::vector<float> ones(static_cast<size_t>(count), 1);
  backend.Upload(ActivationType::kF32,
                 {reinterpret_cast<const uint8_t*>(ones.data()), ones.size() * sizeof(float)}, x);
  return x;
}

TEST_F(RuntimeTest, RefusesMoreMemoryThanTheDeviceHas) {
  const auto backend = cuda::CreateBackend(0, 1);
  emu::device().most_bytes = emu::device().allocated_bytes + 1000;
  ExpectError(ErrorCode::kOutOfMemory, "cache of keys and values: cudaMalloc: no memory for", [&] {
    backend->CreateCache({16, 16, 1, 64}, KvType::kBF16);
  });
  ExpectError(ErrorCode::kOutOfMemory, "activations: cudaMalloc: no memory for",
              [&] { backend->Allocate(4096); });
}

TEST_F(RuntimeTest, NamesTheCallThatFailedAndWhatWasBeingDone) {
  const auto backend = cuda::CreateBackend(0, 1);
  const Tensor x = Ones(*backend, 10);
  emu::device().fails_after = 1;
  ExpectError(ErrorCode::kDeviceLost, "scale: launch: an illegal memory access",
              [&] { backend->Scale(x, 2); });
  std::vector<float> values(10);
  emu::device().fails_after = 1;
  ExpectError(ErrorCode::kDeviceLost, "download: cudaMemcpyAsync: an illegal memory access",
              [&] { backend->Download(x, values); });
  emu::device().fails_after = 3;
  ExpectError(ErrorCode::kDeviceLost, "cudaStreamSynchronize: an illegal memory access", [&] {
    backend->Download(x, values);
    backend->Synchronise();
  });
}

TEST_F(RuntimeTest, FreesWhatItTook) {
  const int64_t before = emu::device().allocated_bytes;
  {
    const auto backend = cuda::CreateBackend(0, 1);
    const auto cache = backend->CreateCache({16, 16, 1, 64}, KvType::kBF16);
    backend->Scale(Ones(*backend, 5000), 2);
    EXPECT_GT(emu::device().allocated_bytes, before);
  }
  EXPECT_EQ(emu::device().allocated_bytes, before);
}

TEST_F(RuntimeTest, AllocatesNothingInAStepLikeTheOneBefore) {
  const auto backend = cuda::CreateBackend(0, 1);
  const VectorPtr weight = backend->Store(std::vector<float>(64, 1.0f));
  const auto step = [&] {
    const Arena::Scope scope(backend->scratch());
    const std::vector<int32_t> positions = {0};
    const auto where = backend->Place({positions, {}, {}, {}});
    const Tensor x = Ones(*backend, 64);
    backend->RmsNorm(x, *weight, 1e-5f, x);
    backend->ScaleByPosition({0.1f, 5, 1}, *where, x);
    backend->Synchronise();
  };
  step();
  const int64_t allocations = emu::device().allocations;
  step();
  EXPECT_EQ(emu::device().allocations, allocations);
}

// What the host hands in may change as soon as an operation returns.
TEST_F(RuntimeTest, ReadsArraysOfTheHostBeforeACallReturns) {
  const auto backend = cuda::CreateBackend(0, 1);
  const Tensor x = backend->scratch().Rows(2, 1);
  std::vector<float> values = {3, 4};
  backend->Upload(ActivationType::kF32, {reinterpret_cast<uint8_t*>(values.data()), 8}, x);
  values = {0, 0};
  std::vector<int32_t> rows = {1, 0};
  const Tensor output = backend->scratch().Rows(2, 1);
  backend->Gather(x, rows, output);
  rows = {0, 0};
  std::vector<float> gathered(2);
  backend->Download(output, gathered);
  EXPECT_EQ(gathered, (std::vector<float>{0, 0}));  // Nothing has run yet.
  backend->Synchronise();
  EXPECT_EQ(gathered, (std::vector<float>{4, 3}));
}

TEST_F(RuntimeTest, RefusesADeviceThatThereIsNot) {
  ExpectError(ErrorCode::kUnsupported, "device 7: expected one of",
              [] { cuda::CreateBackend(7, 1); });
}

}  // namespace
}  // namespace conclave
