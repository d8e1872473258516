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
  for (const auto& layer : layers_) {
    bytes_ += layer->weight_bytes() + layer->attention.cache_bytes();
  }
  monitor.Finish();
}

LayerSlice& RankShard::Layer(int layer) {
  if (layer < slice_.first_layer || layer >= slice_.end_layer) {
    Fail(ErrorCode::kInvalidArgument, "layer: expected ", slice_.first_layer, " to ",
         slice_.end_layer - 1, ", got ", layer);
  }
  return *layers_[layer - slice_.first_layer];
}

int64_t RankShard::Decode(ActivationType type, std::span<const uint8_t> rows) {
  const size_t row_bytes = static_cast<size_t>(hidden_) * ActivationBytes(type);
  if (rows.empty() || rows.size() % row_bytes != 0) {
    Fail(ErrorCode::kInvalidArgument, "rows: expected a multiple of ", row_bytes, " bytes, got ",
         rows.size());
  }
  const auto count = static_cast<int64_t>(rows.size() / row_bytes);
  DecodeActivations(type, rows.data(), count * hidden_, input_.Reserve(count * hidden_));
  return count;
}

std::vector<uint8_t> RankShard::Encode(ActivationType type, int64_t rows) const {
  std::vector<uint8_t> bytes(static_cast<size_t>(rows * hidden_) * ActivationBytes(type));
  EncodeActivations(type, output_.data(), rows * hidden_, bytes.data());
  return bytes;
}

std::vector<uint8_t> RankShard::Attention(int layer, ActivationType type,
                                          std::span<const uint8_t> rows, const SequenceRows& where,
                                          ActivationType partial_type) {
  AttentionSlice& attention = Layer(layer).attention;
  ValidateSequenceRows("where.", where, cache_);
  const int64_t count = Decode(type, rows);
  if (static_cast<size_t>(count) != where.positions.size()) {
    Fail(ErrorCode::kInvalidArgument, "where.positions: expected ", count,
         " entries, one per row, got ", where.positions.size());
  }
  attention.Forward(*compute_, scratch_, where, input_.data(), output_.Reserve(count * hidden_));
  return Encode(partial_type, count);
}

std::vector<uint8_t> RankShard::Ffn(int layer, ActivationType type, std::span<const uint8_t> rows,
                                    ActivationType partial_type) {
  LayerSlice& slice = Layer(layer);
  if (store_->spec().layers[layer].dense() == nullptr) {
    Fail(ErrorCode::kInvalidArgument, "layer: layer ", layer, " has no dense part");
  }
  const int64_t count = Decode(type, rows);
  float* output = output_.Reserve(count * hidden_);
  if (slice.dense) {
    slice.dense->Forward(*compute_, scratch_, input_.data(), count, hidden_, output);
  } else {
    std::fill_n(output, count * hidden_, 0.0f);  // an empty part of the intermediate dimension
  }
  return Encode(partial_type, count);
}

}  // namespace conclave
