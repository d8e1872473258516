#include "conclave/weights/load_monitor.h"

#include "conclave/base/message.h"

namespace conclave {

void LoadMonitor::Begin(LoadPart part) {
  const std::lock_guard lock(mutex_);
  part_ = part;
  done_ = 0;
  total_ = 0;
}

void LoadMonitor::Expect(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  total_ += bytes;
}

void LoadMonitor::Add(uint64_t bytes) {
  for (const std::atomic<bool>* flag : cancelled_) {
    if (*flag) Fail(ErrorCode::kClosed, "closed while loading");
  }
  const std::lock_guard lock(mutex_);
  done_ += bytes;
  const auto now = std::chrono::steady_clock::now();
  if (report_ && done_ < total_ && now - reported_ >= std::chrono::milliseconds(100)) {
    reported_ = now;
    report_(part_, done_, total_);
  }
}

void LoadMonitor::Finish() {
  const std::lock_guard lock(mutex_);
  if (report_) report_(part_, total_, total_);
}

}  // namespace conclave
