#include "conclave/executor.h"

#include "message.h"

namespace conclave {

Executor::Executor() : thread_([this] { Run(); }) {}

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
  changed_.notify_one();
}

void Executor::Stop() {
  std::deque<std::function<void()>> dropped;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    stopping_ = true;
    dropped.swap(tasks_);
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Executor::Run() {
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
