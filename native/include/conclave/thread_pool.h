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
  // returns when all are done. An exception from a body is rethrown here after the others have
  // ended. One call at a time.
  void ParallelFor(int64_t count, const std::function<void(int64_t task, int thread)>& body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace conclave
