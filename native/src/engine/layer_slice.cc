#include "conclave/engine/layer_slice.h"

#include "conclave/base/parallel_tasks.h"
#include "conclave/model/slicing.h"

namespace conclave {

LayerSlice::LayerSlice(TensorLoader& loader, const ModelSpec& spec, int layer,
                       const RankSlice& slice, const CacheOptions& cache, bool output_bias)
    : attention(loader, spec.layers[layer].attention, spec.ropes[spec.layers[layer].attention.rope],
                slice, cache, output_bias) {
  const DenseFfnSpec* whole = spec.layers[layer].dense();
  if (whole == nullptr) return;
  const Range width = SliceRange(whole->width(), slice.ffn_begin, slice.ffn_end, slice.ffn_parts);
  if (width.size() > 0) dense.emplace(loader, spec.layers[layer], width);
}

uint64_t LayerSlice::SourceBytes(const LayerSpec& spec) {
  return GqaOperator::SourceBytes(spec.attention) +
         (spec.dense() != nullptr ? DenseOperator::SourceBytes(spec) : 0);
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
