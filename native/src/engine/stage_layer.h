#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "conclave/engine/operators/expert_projection.h"
#include "conclave/engine/operators/stream_mix.h"
#include "conclave/engine/operators/token_input.h"
#include "conclave/engine/stage.h"

namespace conclave {

// One block of a stage: its slice of the operators, and what the owner of the residual stream does
// by itself.
struct Stage::Block {
  Block(TensorLoader& loader, const ModelSpec& spec, const BlockSpec& block,
        const StageOptions& options)
      : norm(loader, block.pre_norm ? *block.pre_norm : BareNorm(*block.post_norm),
             spec.hidden_size),
        has_pre_norm(block.pre_norm.has_value()),
        slice(loader, spec, block, options.slice, options.cache, true),
        has_dense(block.Find<DenseSpec>() != nullptr),
        aside(block.aside),
        join(block.join),
        residual_multiplier(block.residual_multiplier) {
    if (const MoeSpec* moe = block.Find<MoeSpec>()) {
      gate.emplace(loader, *moe);
      if (moe->input) projection.emplace(loader, *moe, norm.epsilon);
    }
    if (const auto* input = block.Find<TokenInputSpec>()) token_input.emplace(loader, *input);
    if (block.mix) mix.emplace(loader, spec, *block.mix);
    if (block.post_norm) post_norm.emplace(loader, *block.post_norm, spec.hidden_size);
    if (block.join_norm) join_norm.emplace(loader, *block.join_norm, spec.hidden_size);
  }

  uint64_t weight_bytes() const {
    return norm.bytes() + slice.weight_bytes() + (gate ? gate->weight_bytes() : 0) +
           (projection ? projection->weight_bytes() : 0) +
           (token_input ? token_input->weight_bytes() : 0) + (post_norm ? post_norm->bytes() : 0) +
           (join_norm ? join_norm->bytes() : 0) + (mix ? mix->weight_bytes() : 0);
  }

  static uint64_t SourceBytes(const BlockSpec& block) {
    const MoeSpec* moe = block.Find<MoeSpec>();
    const auto* token_input = block.Find<TokenInputSpec>();
    return (block.pre_norm ? block.pre_norm->bytes() : 0) + BlockSlice::SourceBytes(block) +
           (moe != nullptr ? ExpertGate::SourceBytes(moe->gate) : 0) +
           (moe != nullptr && moe->input ? ExpertProjection::SourceBytes(*moe) : 0) +
           (token_input != nullptr ? TokenInputOperator::SourceBytes(*token_input) : 0) +
           (block.post_norm ? block.post_norm->bytes() : 0) +
           (block.join_norm ? block.join_norm->bytes() : 0) + (block.mix ? block.mix->bytes() : 0);
  }

  // What the scale of rows is found by where nothing is normalised.
  static NormSpec BareNorm(const NormSpec& post_norm) {
    NormSpec bare;
    bare.epsilon = post_norm.epsilon;
    return bare;
  }

  bool has_ffn() const { return has_dense || gate.has_value(); }
  // Whether the sum goes to the residual stream as it is.
  bool adds_sum() const { return !post_norm && !aside && !join && !projection && !mix; }
  // Whether several shards make the block's sum, or operators of both kinds: it is an exact one.
  bool exact(bool has_ranks) const {
    return gate || (slice.mixer && (has_ranks || has_ffn())) || (has_dense && has_ranks);
  }

  Norm norm;          // before the operators
  bool has_pre_norm;  // false: `norm` says the scale of rows alone
  BlockSlice slice;
  std::optional<ExpertGate> gate;
  std::optional<ExpertProjection> projection;  // around experts with a width of their own
  std::optional<TokenInputOperator> token_input;
  bool has_dense;                 // here or on another rank
  std::optional<Norm> post_norm;  // after the operators
  bool aside;                     // another block adds what this one gives
  bool join;                      // adds what waits
  std::optional<Norm> join_norm;  // of what this one gives and what waits
  float residual_multiplier;
  std::optional<StreamMix> mix;  // of several streams
};

// One layer of a stage.
struct Stage::Layer {
  std::vector<Block> blocks;
  float scale = 1;  // multiplies the residual stream after them

  // Of the layer's experts; null for a dense layer.
  const ExpertGate* gate() const {
    for (const Block& block : blocks) {
      if (block.gate) return &*block.gate;
    }
    return nullptr;
  }
};

}  // namespace conclave
