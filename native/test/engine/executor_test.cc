#include "conclave/executor.h"

#include <gtest/gtest.h>

#include <future>
#include <vector>

#include "engine/expect_error.h"

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

}  // namespace
}  // namespace conclave
