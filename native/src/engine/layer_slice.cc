#include "conclave/engine/layer_slice.h"

#include "conclave/base/parallel_tasks.h"
#include "conclave/engine/operators/gqa.h"
#include "conclave/model/slicing.h"

namespace conclave {

BlockSlice::BlockSlice(TensorLoader& loader, const ModelSpec& spec, const BlockSpec& block,
                       const RankSlice& slice, const CacheOptions& cache, bool output_bias) {
  if (const OperatorSpec* op = block.FindMixer())
    mixer = LoadMixer(loader, spec, *op, slice.share, cache, output_bias);
  if (const DenseSpec* whole = block.Find<DenseSpec>()) {
    const Range width = slice.share.Width(whole->ffn.width());
    if (width.size() > 0) dense.emplace(loader, *whole, width);
  }
}

uint64_t BlockSlice::weight_bytes() const {
  return (mixer ? mixer->weight_bytes() : 0) + (dense ? dense->weight_bytes() : 0);
}

uint64_t BlockSlice::SourceBytes(const BlockSpec& block) {
  const OperatorSpec* mixer = block.FindMixer();
  const DenseSpec* dense = block.Find<DenseSpec>();
  return (mixer != nullptr ? MixerSourceBytes(*mixer) : 0) +
         (dense != nullptr ? DenseOperator::SourceBytes(*dense) : 0);
}

uint64_t CacheBytes(const Backend& backend, const WeightStore& store, const RankSlice& slice,
                    const CacheOptions& cache) {
  ValidateRankSlice(store.spec(), slice);
  ValidateCacheOptions(cache);
  uint64_t bytes = 0;
  for (int layer = slice.first_layer; layer < slice.end_layer; ++layer) {
    if (const OperatorSpec* mixer = store.spec().layers[layer].FindMixer())
      bytes += MixerCacheBytes(backend, *mixer, slice.share, cache, store.format());
  }
  return bytes;
}

void TakeCaches(Backend& backend, const ModelSpec& spec, int first_layer,
                std::span<Mixer* const> mixers, LoadMonitor& monitor) {
  monitor.Begin(LoadPart::kCache);
  for (const Mixer* mixer : mixers) monitor.Expect(mixer != nullptr ? mixer->cache_bytes() : 0);
  ParallelTasks(backend.pool().threads(), static_cast<int64_t>(mixers.size()), [&](int64_t i) {
    if (mixers[i] == nullptr) return;
    mixers[i]->TakeCache(backend);
    monitor.Add(mixers[i]->cache_bytes());
  });
  for (size_t i = 0; i < mixers.size(); ++i) {
    const GqaSpec* gqa = spec.layers[static_cast<size_t>(first_layer) + i].Find<GqaSpec>();
    if (gqa == nullptr || !gqa->cache_layer) continue;
    Mixer& keeper = *mixers[static_cast<size_t>(*gqa->cache_layer - first_layer)];
    static_cast<GqaOperator&>(*mixers[i]).ReadCacheOf(static_cast<GqaOperator&>(keeper));
  }
  monitor.Finish();
}

}  // namespace conclave
