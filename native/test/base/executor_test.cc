#include "conclave/base/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <vector>

#include "base/expect_error.h"
#include "conclave/base/parallel_tasks.h"

namespace conclave {
namespace {

TEST(Executor, RunsTasksInTheirOrder) {
  std::vector<int> order;
  {
    Executor executor;
    std::promise<void> last;
    for (int i = 0; i < 100; ++i) executor.Post([&order, i] { order.push_back(i); });
    executor.Post([&] { last.set_value(); });
    last.get_future().wait();
  }
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(Executor, CloseLetsQueuedTasksRunAndRefusesMore) {
  std::promise<void> gate;
  std::promise<void> done;
  Executor executor;
  executor.Post([&] { gate.get_future().wait(); });
  executor.Post([&] { done.set_value(); });
  executor.Close();
  ExpectError(ErrorCode::kClosed, "the runtime is closed", [&] { executor.Post([] {}); });
  gate.set_value();
  done.get_future().wait();
}

TEST(Executor, StopDropsWhatWaitsAndTellsWhatRuns) {
  std::promise<void> started;
  bool dropped_ran = false;
  Executor executor;
  executor.Post([&] {
    started.set_value();
    while (!executor.stopping()) std::this_thread::yield();
  });
  executor.Post([&] { dropped_ran = true; });
  started.get_future().wait();
  executor.Stop();
  executor.Stop();
  EXPECT_FALSE(dropped_ran);
  ExpectError(ErrorCode::kClosed, "the runtime is closed", [&] { executor.Post([] {}); });
}

TEST(Executor, SeveralThreadsDoNotWaitForALongTask) {
  std::promise<void> gate;
  std::promise<void> done;
  Executor executor(2, 5);
  executor.Post([&] { gate.get_future().wait(); });
  executor.Post([&] { done.set_value(); });
  done.get_future().wait();
  gate.set_value();
}

TEST(ParallelTasks, RunsEveryTaskOnceOnAnyNumberOfThreads) {
  for (const int threads : {1, 2, 7}) {
    for (const int64_t count : {0, 1, 5, 100}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(count));
      ParallelTasks(threads, count, [&](int64_t task) { ++runs[static_cast<size_t>(task)]; });
      for (const auto& run : runs) EXPECT_EQ(run, 1);
    }
  }
}

TEST(ParallelTasks, RethrowsAnErrorAndStartsNoMore) {
  std::atomic<int> runs = 0;
  ExpectError(ErrorCode::kIo, "task 3", [&] {
    ParallelTasks(2, 1'000'000, [&](int64_t task) {
      ++runs;
      if (task == 3) throw Error(ErrorCode::kIo, "task 3");
    });
  });
  EXPECT_LT(runs, 1'000'000);
}

}  // namespace
}  // namespace conclave
