// What the emulation reports of kernels that misuse CUDA.

#include <gtest/gtest.h>

#include "emulation/cuda.h"

namespace {

template <typename Body>
void RunBlock(unsigned threads, size_t shared_bytes, const Body& body) {
  emu::Launch({1, 1, 1}, {threads, 1, 1}, shared_bytes, body);
}

TEST(Emulation, RunsEveryThreadOfEveryBlock) {
  int counts[6 * 40] = {};
  emu::Launch({2, 3, 1}, {40, 1, 1}, 0,
              [&] { ++counts[(blockIdx.y * gridDim.x + blockIdx.x) * blockDim.x + threadIdx.x]; });
  for (const int count : counts) EXPECT_EQ(count, 1);
}

TEST(Emulation, OrdersThreadsByBarriersAndLanesByShuffles) {
  for (const auto order : {emu::Options::Order::kAscending, emu::Options::Order::kDescending,
                           emu::Options::Order::kRandom}) {
    emu::options().order = order;
    RunBlock(64, 64 * sizeof(int), [] {
      auto* const shared = reinterpret_cast<int*>(emu::block->shared);
      const int thread = static_cast<int>(threadIdx.x);
      shared[thread] = thread;
      __syncthreads();
      EXPECT_EQ(shared[63 - thread], 63 - thread);
      EXPECT_EQ(__shfl_xor_sync(~0u, thread, 1), thread ^ 1);
    });
  }
  emu::options() = {};
}

TEST(Emulation, FillsSharedMemoryWithNaN) {
  RunBlock(1, sizeof(float),
           [] { EXPECT_TRUE(std::isnan(*reinterpret_cast<float*>(emu::block->shared))); });
}

using EmulationDeathTest = testing::Test;

TEST(EmulationDeathTest, ReportsABarrierThatSomeLanesDoNotReach) {
  EXPECT_DEATH(RunBlock(32, 0,
                        [] {
                          if (threadIdx.x == 3) return;
                          __shfl_xor_sync(~0u, 1, 1);
                        }),
               "deadlock; .*:shuffle");
}

TEST(EmulationDeathTest, ReportsLanesThatAreInOtherOperations) {
  EXPECT_DEATH(RunBlock(32, 0,
                        [] {
                          if (threadIdx.x % 2 == 0) __syncwarp();
                          if (threadIdx.x % 2 == 1) __shfl_xor_sync(~0u, 1, 1);
                        }),
               "other lanes of the warp are elsewhere");
}

TEST(EmulationDeathTest, ReportsCopiesThatNobodyWaitsFor) {
  emu::options().copies = emu::Options::Copies::kLate;
  alignas(16) static const char source[16] = {};
  EXPECT_DEATH(RunBlock(1, 16, [] { emu::CopyAsync(emu::block->shared, source, 16, 16); }),
               "did not wait for");
  emu::options() = {};
}

TEST(EmulationDeathTest, ReportsCopiesOutsideOfSharedMemoryAndMisalignedOnes) {
  alignas(16) static const char source[32] = {};
  EXPECT_DEATH(RunBlock(1, 16, [] { emu::CopyAsync(emu::block->shared + 16, source, 16, 16); }),
               "not in the block's shared memory");
  EXPECT_DEATH(RunBlock(1, 16, [] { emu::CopyAsync(emu::block->shared, source + 2, 16, 16); }),
               "misaligned source");
}

}  // namespace
