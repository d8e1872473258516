#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "conclave/engine/operators/dense.h"
#include "conclave/engine/operators/gqa.h"

namespace conclave {

// What one layer of a tensor-parallel rank holds.
struct LayerSlice {
  LayerSlice(TensorLoader& loader, const ModelSpec& spec, int layer, const RankSlice& slice,
             const CacheOptions& cache, bool output_bias);

  GqaOperator attention;
  std::optional<DenseOperator> dense;

  uint64_t weight_bytes() const {
    return attention.weight_bytes() + (dense ? dense->weight_bytes() : 0);
  }
  static uint64_t SourceBytes(const LayerSpec& spec);
};

// Takes the memory of the caches of all layers.
void TakeCaches(Backend& backend, std::span<GqaOperator* const> layers, LoadMonitor& monitor);

}  // namespace conclave
