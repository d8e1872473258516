#include "conclave/load_monitor.h"

#include "message.h"

namespace conclave {

void LoadMonitor::Add(uint64_t bytes) {
  for (const std::atomic<bool>* flag : cancelled_) {
    if (*flag) Fail(ErrorCode::kClosed, "closed while loading");
  }
  done_ += bytes;
  const auto now = std::chrono::steady_clock::now();
  if (report_ && done_ < total_ && now - reported_ >= std::chrono::milliseconds(100)) {
    reported_ = now;
    report_(done_, total_);
  }
}

void LoadMonitor::Finish() const {
  if (report_) report_(total_, total_);
}

}  // namespace conclave
