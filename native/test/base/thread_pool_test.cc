#include "conclave/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <stdexcept>
#include <thread>
#include <vector>

#include "conclave/base/error.h"

namespace conclave {
namespace {

TEST(ThreadPool, RunsEveryTaskOnceOnThreadsInRange) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(count));
      std::atomic<bool> in_range{true};
      pool.ParallelFor(count, [&](int64_t task, int thread) {
        ++runs[static_cast<size_t>(task)];
        if (thread < 0 || thread >= threads) in_range = false;
      });
      for (const auto& run : runs) EXPECT_EQ(run, 1);
      EXPECT_TRUE(in_range);
    }
  }
}

TEST(ThreadPool, LosesNoTaskOverManyShortCalls) {
  ThreadPool pool(3);
  for (int call = 0; call < 20000; ++call) {
    std::atomic<int> done{0};
    pool.ParallelFor(4, [&](int64_t, int) { done.fetch_add(1, std::memory_order_relaxed); });
    ASSERT_EQ(done, 4);
  }
}

TEST(ThreadPool, UsesAllThreadsWhenEachTaskWaitsForTheOthers) {
  constexpr int kThreads = 4;
  ThreadPool pool(kThreads);
  for (int call = 0; call < 20; ++call) {
    std::atomic<int> arrived{0};
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    pool.ParallelFor(kThreads, [&](int64_t, int) {
      ++arrived;
      while (arrived < kThreads && std::chrono::steady_clock::now() < deadline)
        std::this_thread::yield();
    });
    ASSERT_EQ(arrived, kThreads);
  }
}

TEST(ThreadPool, RethrowsAndStaysUsable) {
  ThreadPool pool(2);
  for (int call = 0; call < 100; ++call) {
    EXPECT_THROW(pool.ParallelFor(50,
                                  [&](int64_t task, int) {
                                    if (task == 20) throw std::runtime_error("task 20");
                                  }),
                 std::runtime_error);
    std::atomic<int> done{0};
    pool.ParallelFor(10, [&](int64_t, int) { ++done; });
    ASSERT_EQ(done, 10);
  }
}

TEST(ThreadPool, RefusesACallWithinACall) {
  ThreadPool pool(2);
  EXPECT_THROW(pool.ParallelFor(2, [&](int64_t, int) { pool.ParallelFor(2, [](int64_t, int) {}); }),
               Error);
  std::atomic<int> done{0};
  pool.ParallelFor(2, [&](int64_t, int) { ++done; });
  EXPECT_EQ(done, 2);
}

TEST(ThreadPool, RefusesFewerThanOneThread) {
  EXPECT_THROW(ThreadPool(0), Error);
  EXPECT_THROW(ThreadPool(-1), Error);
}

// Spinning threads would use 3 x 300 ms of processor time here; sleeping ones use almost none.
TEST(ThreadPool, IdleThreadsSleep) {
  ThreadPool pool(4);
  pool.ParallelFor(16, [](int64_t, int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const double used_seconds = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  EXPECT_LT(used_seconds, 0.05);
}

}  // namespace
}  // namespace conclave
