#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "conclave/engine/operators/dense.h"
#include "conclave/engine/operators/mixer.h"

namespace conclave {

// What a tensor-parallel rank holds of one block.
struct BlockSlice {
  BlockSlice(TensorLoader& loader, const ModelSpec& spec, const BlockSpec& block,
             const RankSlice& slice, const CacheOptions& cache, bool output_bias);

  std::unique_ptr<Mixer> mixer;        // null: none
  std::optional<DenseOperator> dense;  // empty where the share of its width is

  uint64_t weight_bytes() const;
  uint64_t cache_bytes() const { return mixer ? mixer->cache_bytes() : 0; }
  static uint64_t SourceBytes(const BlockSpec& block);
};

// Bytes that the caches of a slice take once they are made.
uint64_t CacheBytes(const Backend& backend, const WeightStore& store, const RankSlice& slice,
                    const CacheOptions& cache);

// Takes the memory of all caches. `mixers`: of each layer from `first_layer` on; null: it has none.
void TakeCaches(Backend& backend, const ModelSpec& spec, int first_layer,
                std::span<Mixer* const> mixers, LoadMonitor& monitor);

}  // namespace conclave
