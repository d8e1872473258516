#include "conclave/engine/expert_bank.h"

#include <algorithm>
#include <cmath>

#include "conclave/base/message.h"
#include "conclave/base/parallel_tasks.h"
#include "conclave/engine/expert_route.h"
#include "conclave/engine/tensor_loader.h"
#include "conclave/model/slicing.h"

namespace conclave {
namespace {

Range WidthOf(const FfnSpec& expert, const ExpertSlot& slot) {
  return SliceRange(expert.width(), slot.slice, slot.slice + 1, slot.slices);
}

std::string Name(const ExpertSlot& slot) {
  return Message("layer ", slot.layer, " expert ", slot.expert, " slice ", slot.slice, " of ",
                 slot.slices);
}

uint64_t SourceBytes(const FfnSpec& expert, const ExpertSlot& slot) {
  return conclave::SourceBytes(expert) / static_cast<uint64_t>(slot.slices);
}

}  // namespace

ExpertBank::ExpertBank(std::shared_ptr<Backend> backend, std::shared_ptr<const WeightStore> store)
    : backend_(std::move(backend)),
      store_(std::move(store)),
      layers_(store_->spec().layers.size()) {
  RequireFormat(*backend_, store_->format());
}

const MoeSpec& ExpertBank::Moe(int layer) const {
  const auto& layers = store_->spec().layers;
  if (layer < 0 || static_cast<size_t>(layer) >= layers.size()) {
    Fail(ErrorCode::kInvalidArgument, "layer: expected 0 to ", layers.size() - 1, ", got ", layer);
  }
  const MoeSpec* moe = layers[layer].Find<MoeSpec>();
  if (moe == nullptr) Fail(ErrorCode::kInvalidArgument, "layer: layer ", layer, " has no experts");
  return *moe;
}

void ExpertBank::CheckBounds(size_t index, const ExpertSlot& slot) const {
  const MoeSpec& moe = Moe(slot.layer);
  const int experts = moe.experts.count;
  if (slot.expert < 0 || slot.expert >= experts) {
    Fail(ErrorCode::kInvalidArgument, "slots[", index, "].expert: expected 0 to ", experts - 1,
         ", got ", slot.expert);
  }
  const int64_t most = std::min<int64_t>(moe.experts.expert.width(), kMaxSlices);
  if (slot.slices < 1 || slot.slices > most) {
    Fail(ErrorCode::kInvalidArgument, "slots[", index, "].slices: expected 1 to ", most, ", got ",
         slot.slices);
  }
  if (slot.slice < 0 || slot.slice >= slot.slices) {
    Fail(ErrorCode::kInvalidArgument, "slots[", index, "].slice: expected 0 to ", slot.slices - 1,
         ", got ", slot.slice);
  }
}

void ExpertBank::Check(std::span<const ExpertSlot> slots) const {
  const std::lock_guard lock(mutex_);
  std::vector<int> slices(layers_.size(), 0);
  for (size_t i = 0; i < slots.size(); ++i) {
    const ExpertSlot& slot = slots[i];
    CheckBounds(i, slot);
    int& expected = slices[slot.layer];
    if (expected == 0)
      expected = layers_[slot.layer].slices != 0 ? layers_[slot.layer].slices : slot.slices;
    if (slot.slices != expected) {
      Fail(ErrorCode::kInvalidArgument, "slots[", i, "].slices: layer ", slot.layer,
           " is cut into ", expected, ", got ", slot.slices);
    }
  }
}

std::vector<LoadedSlot> ExpertBank::Load(std::span<const ExpertSlot> slots, LoadMonitor& monitor) {
  for (const ExpertSlot& slot : slots) {
    monitor.Expect(SourceBytes(Moe(slot.layer).experts.Expert(slot.expert), slot));
  }
  std::vector<LoadedSlot> loaded(slots.size());
  const auto count = static_cast<int64_t>(slots.size());
  ParallelTasks(backend_->pool().threads(), count, [&](int64_t i) {
    const ExpertSlot& slot = slots[i];
    std::shared_ptr<const LoadedExpert> expert = Find(slot);
    if (!expert) {
      expert = LoadSlot(slot);
      Insert(slot, expert);
    }
    loaded[i] = {slot, expert->checksum, expert->bytes};
    monitor.Add(SourceBytes(Moe(slot.layer).experts.Expert(slot.expert), slot));
  });
  monitor.Finish();
  return loaded;
}

std::shared_ptr<const LoadedExpert> ExpertBank::Find(const ExpertSlot& slot) const {
  const std::lock_guard lock(mutex_);
  const Layer& layer = layers_[slot.layer];
  return layer.slices == slot.slices ? layer.slots[slot.id()] : nullptr;
}

std::shared_ptr<const LoadedExpert> ExpertBank::LoadSlot(const ExpertSlot& slot) const {
  const FfnSpec expert = Moe(slot.layer).experts.Expert(slot.expert);
  auto loaded = std::make_shared<LoadedExpert>();
  uint32_t checksum = 0;
  loaded->ffn = PackFfn(*backend_, *store_, expert, WidthOf(expert, slot), &checksum);
  loaded->checksum = checksum;
  loaded->bytes = loaded->ffn->bytes();
  return loaded;
}

void ExpertBank::Insert(const ExpertSlot& slot, std::shared_ptr<const LoadedExpert> expert) {
  const std::lock_guard lock(mutex_);
  Layer& layer = layers_[slot.layer];
  if (layer.loaded == 0) {
    layer.slices = slot.slices;
    layer.slots.assign(static_cast<size_t>(Moe(slot.layer).experts.count * slot.slices), nullptr);
  }
  if (layer.slices != slot.slices) {
    Fail(ErrorCode::kInvalidArgument, Name(slot), ": the layer is cut into ", layer.slices);
  }
  if (layer.slots[slot.id()]) return;
  bytes_ += expert->bytes;
  ++slot_count_;
  ++layer.loaded;
  layer.slots[slot.id()] = std::move(expert);
}

void ExpertBank::Unload(std::span<const ExpertSlot> slots) {
  for (size_t i = 0; i < slots.size(); ++i) CheckBounds(i, slots[i]);
  std::vector<std::shared_ptr<const LoadedExpert>> freed;  // after the lock is released
  const std::lock_guard lock(mutex_);
  for (const ExpertSlot& slot : slots) {
    Layer& layer = layers_[slot.layer];
    if (layer.slices != slot.slices || !layer.slots[slot.id()]) continue;
    bytes_ -= layer.slots[slot.id()]->bytes;
    --slot_count_;
    freed.push_back(std::move(layer.slots[slot.id()]));
    layer.slots[slot.id()] = nullptr;
    if (--layer.loaded == 0) layer.slices = 0;
  }
}

bool ExpertBank::Has(const ExpertSlot& slot) const {
  CheckBounds(0, slot);
  return Find(slot) != nullptr;
}

std::vector<std::shared_ptr<const LoadedExpert>> ExpertBank::Acquire(
    int layer, int slices, std::span<const int32_t> ids) const {
  const std::lock_guard lock(mutex_);
  const Layer& table = layers_[layer];
  std::vector<std::shared_ptr<const LoadedExpert>> experts;
  experts.reserve(ids.size());
  for (const int32_t id : ids) {
    if (table.slices != slices || !table.slots[id]) {
      Fail(ErrorCode::kSlotNotLoaded, Name({layer, id / slices, id % slices, slices}),
           " is not loaded");
    }
    experts.push_back(table.slots[id]);
  }
  return experts;
}

int ExpertBank::CheckExperts(const ExpertRows& rows) const {
  const MoeSpec& moe = Moe(rows.layer);
  if (rows.top_k < 1)
    Fail(ErrorCode::kInvalidArgument, "topK: expected at least 1, got ", rows.top_k);
  const auto entries = static_cast<uint64_t>(rows.row_count * rows.top_k);
  if (rows.topk_ids.size() != entries || rows.topk_weights.size() != entries) {
    Fail(ErrorCode::kInvalidArgument, "topkIds, topkWeights: expected ", entries, " entries, got ",
         rows.topk_ids.size(), " and ", rows.topk_weights.size());
  }
  int slices = 0;
  {
    const std::lock_guard lock(mutex_);
    slices = layers_[rows.layer].slices;
  }
  if (slices == 0) Fail(ErrorCode::kSlotNotLoaded, "layer ", rows.layer, " has no loaded slot");
  const auto slots = int64_t{moe.experts.count} * slices;
  for (size_t i = 0; i < entries; ++i) {
    if (rows.topk_ids[i] < -1 || rows.topk_ids[i] >= slots) {
      Fail(ErrorCode::kInvalidArgument, "topkIds[", i, "]: expected -1 to ", slots - 1, ", got ",
           rows.topk_ids[i]);
    }
    if (!std::isfinite(rows.topk_weights[i])) {
      Fail(ErrorCode::kInvalidArgument, "topkWeights[", i, "]: expected a finite number, got ",
           rows.topk_weights[i]);
    }
  }
  return slices;
}

EncodedTotals ExpertBank::Forward(const ExpertRows& rows) {
  Arena& arena = backend_->scratch();
  const Arena::Scope scope(arena);
  const DeviceInput input = UploadRows(*backend_, rows, Moe(rows.layer).width());
  const auto totals = arena.Take<double>(rows.row_count, input.rows.width);
  backend_->Clear(totals);
  Sum(rows, input, totals);
  return backend_->Encode(totals);
}

void ExpertBank::Sum(const ExpertRows& rows, const DeviceInput& input, const Totals& totals) {
  const int slices = CheckExperts(rows);
  std::vector<ExpertEntry> entries;
  entries.reserve(rows.topk_ids.size());
  for (int64_t i = 0; i < rows.row_count * rows.top_k; ++i) {
    if (rows.topk_ids[i] < 0) continue;
    entries.push_back(
        {rows.topk_ids[i], static_cast<int32_t>(i / rows.top_k), rows.topk_weights[i]});
  }
  Run(rows.layer, slices, entries, input, totals);
}

void ExpertBank::Run(int layer, int slices, std::span<const ExpertEntry> entries,
                     const DeviceInput& input, const Totals& totals) {
  const MoeSpec& moe = Moe(layer);
  sorted_.Sort(entries, int64_t{moe.experts.count} * slices);
  const auto experts = Acquire(layer, slices, sorted_.used());
  std::vector<ExpertGroup> groups;
  for (size_t i = 0; i < experts.size(); ++i)
    groups.push_back({experts[i]->ffn.get(), i == 0 ? 0 : sorted_.end(i - 1), sorted_.end(i)});
  backend_->Experts(groups, sorted_.entries(), moe.weights, input.rows, input.grid, totals);
}

int64_t ExpertBank::slot_count() const {
  const std::lock_guard lock(mutex_);
  return slot_count_;
}

uint64_t ExpertBank::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace conclave
