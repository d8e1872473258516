#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace conclave {

// Threads that start tasks in the order in which they came; a single one also ends them in that
// order. Tasks report their own errors and must not throw.
class Executor {
 public:
  // Threads of a `niceness` above 0 leave the processor to others that want it.
  explicit Executor(int threads = 1, int niceness = 0);
  // Stops; not to be called from a task.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Throws kClosed after Close or Stop.
  void Post(std::function<void()> task);
  // Takes no more tasks. Those that are queued still run; does not wait for them.
  void Close();
  // Drops the tasks that wait and ends the threads when the running ones return. Long tasks ask
  // stopping() now and then.
  void Stop();
  const std::atomic<bool>& stopping() const { return stopping_; }

 private:
  void Run(int niceness);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool closed_ = false;
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace conclave
