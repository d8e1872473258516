#include "kernels/cuda/backend/loading/weight_memory.h"

#include <algorithm>

#include "conclave/base/error.h"

namespace conclave::cuda {
namespace {

constexpr size_t kAlignment = 256;
// Slabs grow with what they are for, so that little is left over: as many slots as there are, but
// no more than this.
constexpr size_t kMostSlabBytes = size_t{64} << 20;

}  // namespace

uint8_t* WeightPool::Take(size_t bytes) {
  const size_t slot_bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const std::lock_guard lock(mutex_);
  if (uint8_t* const slot = TakeFree(slot_bytes)) return slot;
  const size_t most = std::max<size_t>(1, kMostSlabBytes / slot_bytes);
  AddSlab(slot_bytes, std::clamp<size_t>(SlotsOf(slot_bytes), 1, most));
  return TakeFree(slot_bytes);
}

uint8_t* WeightPool::TakeFree(size_t slot_bytes) {
  std::vector<FreeSlot>& free = free_[slot_bytes];
  const auto usable = std::find_if(free.begin(), free.end(),
                                   [&](const FreeSlot& slot) { return steps_->Done(slot.mark); });
  if (usable == free.end()) return nullptr;
  uint8_t* const memory = usable->memory;
  *usable = free.back();
  free.pop_back();
  --SlabOf(memory).free;
  return memory;
}

void WeightPool::AddSlab(size_t slot_bytes, size_t slots) {
  AsideBuffer memory;
  try {
    memory = AsideBuffer(slot_bytes * slots, "weights");
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kOutOfMemory || slots == 1) throw;
    return AddSlab(slot_bytes, 1);
  }
  uint8_t* const begin = memory.as();
  std::vector<FreeSlot>& free = free_[slot_bytes];
  free.reserve(SlotsOf(slot_bytes) + slots);  // For GiveBack.
  slabs_.emplace(begin, Slab{std::move(memory), slot_bytes, slots, slots});
  for (size_t i = slots; i-- > 0;) free.push_back({begin + i * slot_bytes, 0});
}

void WeightPool::GiveBack(uint8_t* slot) noexcept {
  const std::lock_guard lock(mutex_);
  Slab& slab = SlabOf(slot);
  ++slab.free;
  free_[slab.slot_bytes].push_back({slot, steps_->mark()});
}

bool WeightPool::Trim() {
  const std::lock_guard lock(mutex_);
  return std::erase_if(slabs_, [&](const auto& entry) {
           const auto& [begin, slab] = entry;
           if (slab.free < slab.slots) return false;
           const uint8_t* const first = begin;
           const uint8_t* const end = first + slab.slot_bytes * slab.slots;
           const auto inside = [=](const FreeSlot& slot) {
             return slot.memory >= first && slot.memory < end;
           };
           std::vector<FreeSlot>& free = free_[slab.slot_bytes];
           const bool read = std::any_of(free.begin(), free.end(), [&](const FreeSlot& slot) {
             return inside(slot) && !steps_->Done(slot.mark);
           });
           if (!read) std::erase_if(free, inside);
           return !read;
         }) > 0;
}

WeightPool::Slab& WeightPool::SlabOf(const uint8_t* slot) {
  return std::prev(slabs_.upper_bound(slot))->second;
}

size_t WeightPool::SlotsOf(size_t slot_bytes) const {
  size_t slots = 0;
  for (const auto& [begin, slab] : slabs_) slots += slab.slot_bytes == slot_bytes ? slab.slots : 0;
  return slots;
}

}  // namespace conclave::cuda
