#include "kernels/cpu/machine/weight_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <list>
#include <map>
#include <mutex>
#include <string>

#include "conclave/base/error.h"

namespace conclave {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kRegion = size_t{64} << 20;
constexpr size_t kGranule = 4096;

size_t RoundUp(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

[[noreturn]] void ThrowOutOfMemory(size_t bytes) {
  throw Error(ErrorCode::kOutOfMemory,
              "weights: no memory for " + std::to_string(bytes) + " bytes");
}

// A mapping aligned to huge pages, with its free ranges by offset; neighbours are merged.
class Region {
 public:
  explicit Region(size_t size) : size_(size) {
    const size_t mapped = size + kHugePage;
    void* start = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) ThrowOutOfMemory(size);
    auto* const first = static_cast<uint8_t*>(start);
    base_ = reinterpret_cast<uint8_t*>(RoundUp(reinterpret_cast<size_t>(first), kHugePage));
    if (base_ > first) munmap(first, static_cast<size_t>(base_ - first));
    const auto behind = static_cast<size_t>(first + mapped - (base_ + size));
    if (behind > 0) munmap(base_ + size, behind);
#ifdef MADV_HUGEPAGE
    madvise(base_, size, MADV_HUGEPAGE);  // a hint: the system may not have huge pages
#endif
    free_[0] = size;
  }
  ~Region() { munmap(base_, size_); }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  // Null when no free range is long enough.
  uint8_t* Take(size_t bytes) {
    const auto range = std::find_if(free_.begin(), free_.end(),
                                    [&](const auto& entry) { return entry.second >= bytes; });
    if (range == free_.end()) return nullptr;
    const auto [offset, length] = *range;
    free_.erase(range);
    if (length > bytes) free_[offset + bytes] = length - bytes;
    return base_ + offset;
  }

  void Give(const uint8_t* data, size_t bytes) {
    auto range = free_.emplace(static_cast<size_t>(data - base_), bytes).first;
    const auto after = std::next(range);
    if (after != free_.end() && range->first + range->second == after->first) {
      range->second += after->second;
      free_.erase(after);
    }
    if (range == free_.begin()) return;
    const auto before = std::prev(range);
    if (before->first + before->second == range->first) {
      before->second += range->second;
      free_.erase(range);
    }
  }

  bool unused() const { return free_.size() == 1 && free_.begin()->second == size_; }

 private:
  size_t size_;
  uint8_t* base_ = nullptr;
  std::map<size_t, size_t> free_;
};

}  // namespace

struct WeightMemory::Regions {
  std::mutex mutex;
  std::list<Region> regions;

  std::pair<Region*, uint8_t*> Take(size_t bytes) {
    const std::lock_guard lock(mutex);
    for (Region& region : regions) {
      if (uint8_t* data = region.Take(bytes)) return {&region, data};
    }
    Region& region = regions.emplace_back(std::max(kRegion, RoundUp(bytes, kHugePage)));
    return {&region, region.Take(bytes)};
  }

  void Give(Region* region, const uint8_t* data, size_t bytes) {
    const std::lock_guard lock(mutex);
    region->Give(data, bytes);
    if (region->unused()) regions.remove_if([&](const Region& other) { return &other == region; });
  }
};

WeightMemory::WeightMemory() : regions_(std::make_shared<Regions>()) {}

std::shared_ptr<uint8_t> WeightMemory::Allocate(size_t bytes) {
  const size_t rounded = RoundUp(std::max<size_t>(bytes, 1), kGranule);
  const auto [region, data] = regions_->Take(rounded);
  return {data, [regions = regions_, region = region, rounded](uint8_t* pointer) {
            regions->Give(region, pointer, rounded);
          }};
}

}  // namespace conclave
