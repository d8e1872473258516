#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "conclave/engine/stage.h"

namespace conclave {

// One block of a stage: its slice of the operators, and what the owner of the residual stream does
// by itself.
struct Stage::Block {
  Block(TensorLoader& loader, const ModelSpec& spec, const BlockSpec& block,
        const StageOptions& options)
      : norm(loader, *block.pre_norm),
        slice(loader, spec, block, options.slice, options.cache, true),
        has_dense(block.Find<DenseSpec>() != nullptr),
        residual_multiplier(block.residual_multiplier) {
    if (const MoeSpec* moe = block.Find<MoeSpec>()) gate.emplace(loader, *moe);
  }

  uint64_t weight_bytes() const {
    return norm.weight->bytes() + slice.weight_bytes() + (gate ? gate->weight_bytes() : 0);
  }

  static uint64_t SourceBytes(const BlockSpec& block) {
    const MoeSpec* moe = block.Find<MoeSpec>();
    return block.pre_norm->weight.bytes() + BlockSlice::SourceBytes(block) +
           (moe != nullptr ? moe->gate.weight.data.bytes() : 0);
  }

  LayerOperator op() const { return slice.mixer ? LayerOperator::kAttention : LayerOperator::kFfn; }

  Norm norm;  // before the operators
  BlockSlice slice;
  std::optional<ExpertGate> gate;
  bool has_dense;  // here or on another rank
  float residual_multiplier;
};

// One layer of a stage.
struct Stage::Layer {
  std::vector<Block> blocks;

  // Of the layer's experts; null for a dense layer.
  const ExpertGate* gate() const {
    for (const Block& block : blocks) {
      if (block.gate) return &*block.gate;
    }
    return nullptr;
  }
};

}  // namespace conclave
