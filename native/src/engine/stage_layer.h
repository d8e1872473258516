#pragma once

#include <cstdint>
#include <optional>

#include "conclave/engine/stage.h"

namespace conclave {

// One layer of a stage: its slice of the heads and dense parts, and what the owner of the residual
// stream does by itself.
struct Stage::Layer {
  Layer(TensorLoader& loader, const ModelSpec& spec, int index, const StageOptions& options)
      : attention_norm(loader, spec.layers[index].attention_norm),
        ffn_norm(loader, spec.layers[index].ffn_norm),
        slice(loader, spec, index, options.slice, options.cache, true),
        has_dense(spec.layers[index].dense() != nullptr),
        residual_multiplier(spec.layers[index].residual_multiplier) {
    if (const MoeSpec* moe = spec.layers[index].moe()) gate.emplace(loader, *moe);
  }

  uint64_t weight_bytes() const {
    return attention_norm.weight->bytes() + ffn_norm.weight->bytes() + slice.weight_bytes() +
           (gate ? gate->weight_bytes() : 0);
  }

  static uint64_t SourceBytes(const LayerSpec& spec) {
    return spec.attention_norm.weight.bytes() + spec.ffn_norm.weight.bytes() +
           LayerSlice::SourceBytes(spec) +
           (spec.moe() != nullptr ? spec.moe()->gate.weight.bytes() : 0);
  }

  Norm attention_norm;
  Norm ffn_norm;
  LayerSlice slice;
  std::optional<ExpertGate> gate;
  bool has_dense;  // here or on another rank
  float residual_multiplier;
};

}  // namespace conclave
