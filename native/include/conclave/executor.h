#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace conclave {

// One thread that runs tasks in the order in which they came. Tasks report their own errors and
// must not throw.
class Executor {
 public:
  Executor();
  // Stops; not to be called from a task.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Throws kClosed after Close or Stop.
  void Post(std::function<void()> task);
  // Takes no more tasks. Those that are queued still run; does not wait for them.
  void Close();
  // Drops the tasks that wait and ends the thread when the running one returns. Long tasks ask
  // stopping() now and then.
  void Stop();
  const std::atomic<bool>& stopping() const { return stopping_; }

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool closed_ = false;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace conclave
