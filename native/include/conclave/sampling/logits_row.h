#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "conclave/sampling/sampling.h"

namespace conclave {

// One wanted row of logits.
struct LogitsRow {
  int32_t row = 0;
  int32_t target = -1;
  int32_t logprobs = -1;
  std::optional<Sampling> sampling;
  int32_t position = 0;
  int32_t sequence_index = 0;
  std::vector<int32_t> prompt_tokens;
  std::vector<int32_t> output_tokens;
  std::shared_ptr<TokenMask> mask;  // null: all tokens
};

// Throws kInvalidArgument unless the wanted rows are ascending rows of the batch and every token,
// count and sampling parameter is in its range.
void ValidateLogitsRows(std::span<const LogitsRow> wanted, int64_t rows, int64_t vocab);

}  // namespace conclave
