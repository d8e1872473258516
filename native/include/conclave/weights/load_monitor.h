#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace conclave {

// What a load is busy with.
enum class LoadPart { kWeights, kCache };

// Watches a load: counts its bytes, reports them at most ten times a second and once at the end,
// and ends it when asked to. Thread safe.
class LoadMonitor {
 public:
  using Report = std::function<void(LoadPart part, uint64_t done_bytes, uint64_t total_bytes)>;

  // `report` may be empty. The load ends with kClosed once one of the `cancelled` flags is true.
  LoadMonitor(Report report, std::vector<const std::atomic<bool>*> cancelled)
      : report_(std::move(report)), cancelled_(std::move(cancelled)) {}

  // Counts another part from now on; the first is the weights.
  void Begin(LoadPart part);
  void Expect(uint64_t bytes);
  // Counts bytes that are done; throws kClosed.
  void Add(uint64_t bytes);
  void Finish();

 private:
  Report report_;
  std::vector<const std::atomic<bool>*> cancelled_;
  std::mutex mutex_;  // guards what follows, and the order of reports
  LoadPart part_ = LoadPart::kWeights;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
  std::chrono::steady_clock::time_point reported_{};
};

}  // namespace conclave
