#include "conclave/engine/layer_slice.h"

#include "conclave/base/parallel_tasks.h"
#include "conclave/model/slicing.h"

namespace conclave {

BlockSlice::BlockSlice(TensorLoader& loader, const ModelSpec& spec, const BlockSpec& block,
                       const RankSlice& slice, const CacheOptions& cache, bool output_bias) {
  if (const GqaSpec* gqa = block.Find<GqaSpec>())
    attention.emplace(loader, *gqa, spec.ropes[gqa->rope], slice.share, cache, output_bias);
  if (const DenseSpec* whole = block.Find<DenseSpec>()) {
    const Range width = slice.share.Width(whole->ffn.width());
    if (width.size() > 0) dense.emplace(loader, *whole, width);
  }
}

uint64_t BlockSlice::weight_bytes() const {
  return (attention ? attention->weight_bytes() : 0) + (dense ? dense->weight_bytes() : 0);
}

uint64_t BlockSlice::SourceBytes(const BlockSpec& block) {
  const GqaSpec* gqa = block.Find<GqaSpec>();
  const DenseSpec* dense = block.Find<DenseSpec>();
  return (gqa != nullptr ? GqaOperator::SourceBytes(*gqa) : 0) +
         (dense != nullptr ? DenseOperator::SourceBytes(*dense) : 0);
}

uint64_t CacheBytes(const Backend& backend, const WeightStore& store, const RankSlice& slice,
                    const CacheOptions& cache) {
  ValidateRankSlice(store.spec(), slice);
  ValidateCacheOptions(cache);
  uint64_t bytes = 0;
  for (int layer = slice.first_layer; layer < slice.end_layer; ++layer) {
    const GqaSpec* gqa = store.spec().layers[layer].Find<GqaSpec>();
    if (gqa != nullptr)
      bytes += GqaOperator::CacheBytes(backend, *gqa, slice.share, cache, store.format());
  }
  return bytes;
}

void TakeCaches(Backend& backend, std::span<GqaOperator* const> layers, LoadMonitor& monitor) {
  monitor.Begin(LoadPart::kCache);
  for (const GqaOperator* layer : layers) monitor.Expect(layer->cache_bytes());
  ParallelTasks(backend.pool().threads(), static_cast<int64_t>(layers.size()), [&](int64_t i) {
    layers[i]->TakeCache(backend);
    monitor.Add(layers[i]->cache_bytes());
  });
  monitor.Finish();
}

}  // namespace conclave
