#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace conclave {

// A fixed set of compute threads. The caller's thread takes part as thread 0.
class ThreadPool {
 public:
  // threads >= 1, the caller's included.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls body(task, thread) once for every task in [0, count), handing tasks out dynamically;
  // returns when all are done. After an exception from a body no further task begins, and the first
  // exception is rethrown here once those that run have ended. One call at a time: another one
  // throws kInternal. A thread that waits for work spins for some 50 us, then sleeps.
  void ParallelFor(int64_t count, const std::function<void(int64_t task, int thread)>& body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace conclave
