#include "conclave/base/executor.h"

#if defined(__linux__)
#include <sys/resource.h>
#endif

#include "conclave/base/message.h"

namespace conclave {

Executor::Executor(int threads, int niceness) {
  try {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this, niceness] { Run(niceness); });
  } catch (...) {
    Stop();
    throw;
  }
}

Executor::~Executor() { Stop(); }

void Executor::Post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (closed_) Fail(ErrorCode::kClosed, "the runtime is closed");
  tasks_.push_back(std::move(task));
  changed_.notify_one();
}

void Executor::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

void Executor::Stop() {
  std::deque<std::function<void()>> dropped;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    stopping_ = true;
    dropped.swap(tasks_);
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Executor::Run(int niceness) {
#if defined(__linux__)
  // On Linux this is a thread's own, and what it starts inherits it.
  if (niceness != 0) setpriority(PRIO_PROCESS, 0, niceness);
#else
  static_cast<void>(niceness);
#endif
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return closed_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace conclave
