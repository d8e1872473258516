#pragma once

// A step's input and output: StepBatch, StepProgress and what they hold in native.ts, as structs
// that own their memory.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "conclave/backend/sequence_rows.h"
#include "conclave/base/exact_sum.h"
#include "conclave/engine/expert_rows.h"
#include "conclave/sampling/logits_row.h"

namespace conclave {

// SequenceRows that owns its arrays.
struct SequenceRowsData {
  std::vector<int32_t> positions;
  std::vector<int32_t> sequence_offsets;
  std::vector<int32_t> block_tables;
  std::vector<int32_t> block_offsets;
  std::vector<int32_t> state_slots;

  SequenceRows view() const {
    return {positions, sequence_offsets, block_tables, block_offsets, state_slots};
  }
};

struct StepBatch {
  SequenceRowsData where;
  std::vector<int32_t> token_ids;
  std::optional<std::vector<uint8_t>> hidden;  // f32 [rows, H]
  std::vector<LogitsRow> logits;

  int64_t rows() const { return static_cast<int64_t>(where.positions.size()); }
};

struct StepOutput {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  std::vector<int32_t> top_offsets;
  std::vector<int32_t> top_tokens;
  std::vector<float> top_logprobs;
};

struct Dispatch {
  int32_t target = 0;
  std::vector<int32_t> row_indices;
  bool dense = false;
  ExpertRows experts;
};

struct PartialSum {
  std::vector<int32_t> row_indices;
  PartialType type = PartialType::kI32;
  std::vector<uint8_t> partial;
};

// Attention stands for every mixer.
enum class LayerOperator { kAttention, kFfn };

struct DispatchProgress {
  int64_t step;
  int layer;
  LayerOperator op;
  std::vector<Dispatch> dispatches;
};

struct HiddenProgress {
  std::vector<uint8_t> hidden;  // f32 [rows, H]
};

using StepProgress = std::variant<DispatchProgress, HiddenProgress, StepOutput>;

}  // namespace conclave
