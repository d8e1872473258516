#pragma once

// ModelSpec of model.proto as C++ structs: what the engine executes. Shapes and meanings are
// described there.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "conclave/base/element_types.h"
#include "conclave/base/operator_parameters.h"

namespace conclave {

struct CheckpointFile {
  std::string path;  // relative to the checkpoint folder
  uint64_t bytes;
};

// Where a tensor lies in the checkpoint.
struct TensorRef {
  std::string name;
  uint32_t file = 0;
  uint64_t offset = 0;
  SourceType type = SourceType::kF32;
  std::vector<int64_t> shape;

  int64_t elements() const;
  uint64_t bytes() const;
};

struct LinearSpec {
  TensorRef weight;  // [out, in]
  std::optional<TensorRef> bias;

  int64_t out() const { return weight.shape[0]; }
  int64_t in() const { return weight.shape[1]; }
};

struct NormSpec {
  TensorRef weight;
  float epsilon = 0;
};

enum class QkNorm { kNone, kPerHead, kFullWidth };

struct AttentionSpec {
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  float scale = 0;
  int sliding_window = 0;
  int rope = 0;
  LinearSpec q, k, v, o;
  std::optional<NormSpec> q_norm, k_norm;
  QkNorm qk_norm = QkNorm::kNone;
  float clip_qkv = 0;
};

struct DenseFfnSpec {
  LinearSpec gate, up, down;
  Activation activation = Activation::kSilu;

  int64_t width() const { return gate.out(); }
};

struct GateSpec {
  TensorRef weight;  // [experts, H]
  int top_k = 0;
  GateScoring scoring = GateScoring::kSoftmaxAll;
  float weight_multiplier = 1;
};

struct MoeSpec {
  GateSpec gate;
  std::vector<DenseFfnSpec> experts;
  std::optional<DenseFfnSpec> shared_expert;
  std::optional<TensorRef> shared_expert_gate;
};

struct LayerSpec {
  NormSpec attention_norm;
  AttentionSpec attention;
  NormSpec ffn_norm;
  std::variant<DenseFfnSpec, MoeSpec> ffn;
  float residual_multiplier = 1;

  const MoeSpec* moe() const { return std::get_if<MoeSpec>(&ffn); }
  // The part that tensor parallelism slices: the dense network or the shared expert. Null when
  // there is neither.
  const DenseFfnSpec* dense() const;
};

struct ModelSpec {
  std::string name;
  int64_t hidden_size = 0;
  int64_t vocab_size = 0;
  std::vector<CheckpointFile> files;
  TensorRef embedding;
  float embedding_multiplier = 1;
  std::vector<Rope> ropes;
  std::vector<LayerSpec> layers;
  NormSpec final_norm;
  LinearSpec head;
  float logit_multiplier = 1;
};

// Checks that every tensor lies in its file and has the shape that its role needs, and that every
// parameter is one that the engine can execute. Throws kInvalidArgument, kCorruptCheckpoint or
// kUnsupported naming the tensor or the parameter.
void ValidateSpec(const ModelSpec& spec);

}  // namespace conclave
