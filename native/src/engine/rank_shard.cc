#include "conclave/engine/rank_shard.h"

#include <algorithm>

#include "conclave/base/message.h"
#include "conclave/base/parallel_tasks.h"

namespace conclave {

RankShard::RankShard(std::shared_ptr<Compute> compute, std::shared_ptr<const WeightStore> store,
                     const RankSlice& slice, const CacheOptions& cache, LoadMonitor& monitor)
    : compute_(std::move(compute)),
      store_(std::move(store)),
      slice_(slice),
      cache_(cache),
      hidden_(store_->spec().hidden_size) {
  const ModelSpec& spec = store_->spec();
  ValidateRankSlice(spec, slice);
  ValidateCacheOptions(cache);
  for (int layer = slice.first_layer; layer < slice.end_layer; ++layer) {
    monitor.Expect(LayerSlice::SourceBytes(spec.layers[layer]));
  }
  TensorLoader loader(*store_, *compute_->kernels, monitor);
  layers_.resize(static_cast<size_t>(slice.end_layer - slice.first_layer));
  const auto layers = static_cast<int64_t>(layers_.size());
  ParallelTasks(compute_->pool.threads(), layers, [&](int64_t task) {
    const int layer = slice.first_layer + static_cast<int>(task);
    layers_[task] = std::make_unique<LayerSlice>(loader, spec, layer, slice, cache, false);
  });
  monitor.Finish();
  std::vector<AttentionSlice*> slices;
  for (const auto& layer : layers_) {
    bytes_ += layer->weight_bytes() + layer->attention.cache_bytes();
    slices.push_back(&layer->attention);
  }
  TakeCaches(compute_->pool.threads(), slices, monitor);
}

LayerSlice& RankShard::Layer(int layer) {
  if (layer < slice_.first_layer || layer >= slice_.end_layer) {
    Fail(ErrorCode::kInvalidArgument, "layer: expected ", slice_.first_layer, " to ",
         slice_.end_layer - 1, ", got ", layer);
  }
  return *layers_[layer - slice_.first_layer];
}

EncodedTotals RankShard::Attention(const ExpertRows& rows, const SequenceRows& where) {
  AttentionSlice& attention = Layer(rows.layer).attention;
  ValidateSequenceRows("where.", where, cache_);
  DecodeRows(rows, hidden_, input_);
  const int64_t count = rows.row_count;
  if (static_cast<size_t>(count) != where.positions.size()) {
    Fail(ErrorCode::kInvalidArgument, "where.positions: expected ", count,
         " entries, one per row, got ", where.positions.size());
  }
  float* output = output_.Reserve(count * hidden_);
  attention.Forward(*compute_, scratch_, where, input_.data(), output);
  double* totals = totals_.Reserve(count * hidden_);
  ClearTotals(*compute_, count, hidden_, totals);
  AddTerms(*compute_, output, rows.grid, hidden_, totals);
  return EncodeTotals(*compute_, totals, count, hidden_);
}

EncodedTotals RankShard::Ffn(const ExpertRows& rows, ExpertBank* bank) {
  LayerSlice& slice = Layer(rows.layer);
  if (store_->spec().layers[rows.layer].dense() == nullptr) {
    Fail(ErrorCode::kInvalidArgument, "layer: layer ", rows.layer, " has no dense part");
  }
  if (rows.top_k > 0 && (bank == nullptr || &bank->store() != store_.get())) {
    Fail(ErrorCode::kInvalidArgument, "bank: expected a bank of the same weight store for topK ",
         rows.top_k);
  }
  DecodeRows(rows, hidden_, input_);
  const int64_t count = rows.row_count;
  double* totals = totals_.Reserve(count * hidden_);
  if (rows.top_k > 0) {
    bank->Sum(rows, input_.data(), totals);
  } else {
    ClearTotals(*compute_, count, hidden_, totals);
  }
  if (slice.dense) {  // null: an empty part of the intermediate dimension
    float* output = output_.Reserve(count * hidden_);
    slice.dense->Forward(*compute_, scratch_, input_.data(), count, hidden_, output);
    AddTerms(*compute_, output, rows.grid, hidden_, totals);
  }
  return EncodeTotals(*compute_, totals, count, hidden_);
}

}  // namespace conclave
