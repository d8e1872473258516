#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "conclave/engine/expert_rows.h"
#include "conclave/engine/sorted_entries.h"
#include "conclave/weights/load_monitor.h"
#include "conclave/weights/weight_store.h"

namespace conclave {

// ExpertSlot in native.ts.
struct ExpertSlot {
  int layer = 0;
  int expert = 0;
  int slice = 0;
  int slices = 1;

  int id() const { return expert * slices + slice; }
};

// LoadedSlot in native.ts.
struct LoadedSlot {
  ExpertSlot slot;
  uint32_t checksum;
  uint64_t bytes;
};

// The weights of one slot. Immutable: calls that use it keep it alive.
struct LoadedExpert {
  FfnPtr ffn;
  uint32_t checksum;
  uint64_t bytes;
};

// Routed experts that have been loaded. Forward runs on the executor, the rest on any thread.
class ExpertBank {
 public:
  ExpertBank(std::shared_ptr<Backend> backend, std::shared_ptr<const WeightStore> store);

  // Throws kInvalidArgument when a slot does not exist in the model or cuts a layer otherwise than
  // the slots that are loaded.
  void Check(std::span<const ExpertSlot> slots) const;
  // Loads the slots that are not loaded yet; each can be used as soon as it is. Adds to the
  // monitor's expectation.
  std::vector<LoadedSlot> Load(std::span<const ExpertSlot> slots, LoadMonitor& monitor);
  // Slots that are not loaded are ignored.
  void Unload(std::span<const ExpertSlot> slots);
  bool Has(const ExpertSlot& slot) const;
  // Weighted sums, as wide as the layer's experts.
  EncodedTotals Forward(const ExpertRows& rows);
  // Adds the same of rows that are uploaded to totals [row_count, hidden].
  void Sum(const ExpertRows& rows, const DeviceInput& input, const Totals& totals);
  // totals[r] += sum over the entries of row r of weight * expert(input[r]), on the row's grid.
  // Slots of the layer are those of experts cut into `slices`. Throws kSlotNotLoaded naming the
  // first that is missing.
  void Run(int layer, int slices, std::span<const ExpertEntry> entries, const DeviceInput& input,
           const Totals& totals);

  const WeightStore& store() const { return *store_; }
  int64_t slot_count() const;
  uint64_t bytes() const;
  // Ends loads that run.
  void Close() { closed_ = true; }
  const std::atomic<bool>& closed() const { return closed_; }

 private:
  struct Layer {
    int slices = 0;  // 0: nothing is loaded
    int64_t loaded = 0;
    std::vector<std::shared_ptr<const LoadedExpert>> slots;
  };

  const MoeSpec& Moe(int layer) const;
  void CheckBounds(size_t index, const ExpertSlot& slot) const;
  std::shared_ptr<const LoadedExpert> Find(const ExpertSlot& slot) const;
  std::shared_ptr<const LoadedExpert> LoadSlot(const ExpertSlot& slot) const;
  void Insert(const ExpertSlot& slot, std::shared_ptr<const LoadedExpert> expert);
  int CheckExperts(const ExpertRows& rows) const;
  // Weights of slots of a layer by slot id.
  std::vector<std::shared_ptr<const LoadedExpert>> Acquire(int layer, int slices,
                                                           std::span<const int32_t> ids) const;

  std::shared_ptr<Backend> backend_;
  std::shared_ptr<const WeightStore> store_;
  std::atomic<bool> closed_ = false;

  mutable std::mutex mutex_;  // guards layers_ and the counts
  std::vector<Layer> layers_;
  int64_t slot_count_ = 0;
  uint64_t bytes_ = 0;

  SortedEntries sorted_;  // executor only
};

}  // namespace conclave
