#include "conclave/engine/rank_shard.h"

#include <algorithm>

#include "conclave/base/message.h"
#include "conclave/base/parallel_tasks.h"

namespace conclave {

RankShard::RankShard(std::shared_ptr<Backend> backend, std::shared_ptr<const WeightStore> store,
                     const RankSlice& slice, const CacheOptions& cache, LoadMonitor& monitor)
    : backend_(std::move(backend)),
      store_(std::move(store)),
      slice_(slice),
      cache_(cache),
      hidden_(store_->spec().hidden_size) {
  const ModelSpec& spec = store_->spec();
  ValidateRankSlice(spec, slice);
  ValidateCacheOptions(cache);
  for (int layer = slice.first_layer; layer < slice.end_layer; ++layer) {
    for (const BlockSpec& block : spec.layers[layer].blocks)
      monitor.Expect(BlockSlice::SourceBytes(block));
  }
  TensorLoader loader(*store_, *backend_, monitor);
  layers_.resize(static_cast<size_t>(slice.end_layer - slice.first_layer));
  const auto layers = static_cast<int64_t>(layers_.size());
  ParallelTasks(backend_->pool().threads(), layers, [&](int64_t task) {
    const int layer = slice.first_layer + static_cast<int>(task);
    for (const BlockSpec& block : spec.layers[layer].blocks)
      layers_[task].emplace_back(loader, spec, block, slice, cache, false);
  });
  monitor.Finish();
  std::vector<Mixer*> mixers;
  for (std::vector<BlockSlice>& blocks : layers_) {
    mixers.push_back(nullptr);
    for (BlockSlice& block : blocks) {
      bytes_ += block.weight_bytes() + block.cache_bytes();
      if (block.mixer) mixers.back() = block.mixer.get();
    }
  }
  TakeCaches(*backend_, spec, slice.first_layer, mixers, monitor);
}

std::vector<BlockSlice>& RankShard::Layer(int layer) {
  if (layer < slice_.first_layer || layer >= slice_.end_layer) {
    Fail(ErrorCode::kInvalidArgument, "layer: expected ", slice_.first_layer, " to ",
         slice_.end_layer - 1, ", got ", layer);
  }
  return layers_[layer - slice_.first_layer];
}

EncodedTotals RankShard::Attention(const ExpertRows& rows, const SequenceRows& where) {
  Mixer* mixer = nullptr;
  for (BlockSlice& block : Layer(rows.layer)) {
    if (block.mixer) mixer = block.mixer.get();
  }
  if (mixer == nullptr)
    Fail(ErrorCode::kInvalidArgument, "layer: layer ", rows.layer, " has no attention");
  ValidateSequenceRows("where.", where, cache_);
  Arena& arena = backend_->scratch();
  const Arena::Scope scope(arena);
  const DeviceInput input = UploadRows(*backend_, rows, hidden_);
  if (static_cast<size_t>(rows.row_count) != where.positions.size()) {
    Fail(ErrorCode::kInvalidArgument, "where.positions: expected ", rows.row_count,
         " entries, one per row, got ", where.positions.size());
  }
  const Tensor output = arena.Rows(rows.row_count, hidden_);
  const std::unique_ptr<StepRows> placed = backend_->Place(where);
  MixerStep step{*placed, arena};
  mixer->Forward(*backend_, step, input.rows, output);
  const auto totals = arena.Take<double>(rows.row_count, hidden_);
  backend_->Clear(totals);
  backend_->AddTerms(output, input.grid, totals);
  return backend_->Encode(totals);
}

EncodedTotals RankShard::Ffn(const ExpertRows& rows, ExpertBank* bank) {
  const DenseOperator* dense = nullptr;
  for (const BlockSlice& block : Layer(rows.layer)) {
    if (block.dense) dense = &*block.dense;
  }
  if (store_->spec().layers[rows.layer].Find<DenseSpec>() == nullptr)
    Fail(ErrorCode::kInvalidArgument, "layer: layer ", rows.layer, " has no dense part");
  if (rows.top_k > 0 && (bank == nullptr || &bank->store() != store_.get())) {
    Fail(ErrorCode::kInvalidArgument, "bank: expected a bank of the same weight store for topK ",
         rows.top_k);
  }
  Arena& arena = backend_->scratch();
  const Arena::Scope scope(arena);
  const DeviceInput input = UploadRows(*backend_, rows, hidden_);
  const auto totals = arena.Take<double>(rows.row_count, hidden_);
  backend_->Clear(totals);
  if (rows.top_k > 0) bank->Sum(rows, input, totals);
  if (dense != nullptr) {  // null: an empty part of the intermediate dimension
    const Tensor output = arena.Rows(rows.row_count, hidden_);
    dense->Forward(*backend_, input.rows, output);
    backend_->AddTerms(output, input.grid, totals);
  }
  return backend_->Encode(totals);
}

}  // namespace conclave
