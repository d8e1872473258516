#include <algorithm>
#include <cmath>
#include <limits>

#include "conclave/base/message.h"
#include "conclave/sampling/logits_row.h"
#include "token_range.h"

namespace conclave {
namespace {

// Offsets of the alternatives are int32, and all of them are in memory at once.
constexpr int64_t kMaxAlternatives = int64_t{1} << 26;

[[noreturn]] void Refuse(size_t entry, const char* field, const std::string& expected, double got) {
  Fail(ErrorCode::kInvalidArgument, "logits.", field, " of entry ", entry, ": expected ", expected,
       ", got ", got);
}

void CheckRange(size_t entry, const char* field, double value, double least, double most) {
  if (!(value >= least && value <= most)) Refuse(entry, field, Message(least, " to ", most), value);
}

void CheckTokens(size_t entry, const char* field, std::span<const int32_t> tokens, int64_t vocab) {
  if (AllTokensBelow(vocab, tokens)) return;
  for (const int32_t token : tokens)
    CheckRange(entry, field, token, 0, static_cast<double>(vocab - 1));
}

void CheckSampling(size_t entry, const Sampling& sampling, int64_t vocab) {
  CheckRange(entry, "sampling.temperature", sampling.temperature, 0,
             double{std::numeric_limits<float>::max()});
  CheckRange(entry, "sampling.topK", sampling.top_k, 0, 2147483647);
  if (!(sampling.top_p > 0 && sampling.top_p <= 1))
    Refuse(entry, "sampling.topP", "more than 0 and at most 1", sampling.top_p);
  CheckRange(entry, "sampling.minP", sampling.min_p, 0, 1);
  if (!std::isfinite(sampling.repetition_penalty) || sampling.repetition_penalty <= 0) {
    Refuse(entry, "sampling.repetitionPenalty", "a finite number above 0",
           sampling.repetition_penalty);
  }
  for (const auto& [field, value] :
       {std::pair{"sampling.presencePenalty", sampling.presence_penalty},
        std::pair{"sampling.frequencyPenalty", sampling.frequency_penalty}}) {
    if (!std::isfinite(value)) Refuse(entry, field, "a finite number", value);
  }
  CheckTokens(entry, "sampling.biasTokens", sampling.bias_tokens, vocab);
  if (sampling.bias_values.size() != sampling.bias_tokens.size()) {
    Refuse(entry, "sampling.biasValues.length", std::to_string(sampling.bias_tokens.size()),
           static_cast<double>(sampling.bias_values.size()));
  }
  for (const float value : sampling.bias_values) {
    if (!std::isfinite(value)) Refuse(entry, "sampling.biasValues", "finite numbers", value);
  }
}

}  // namespace

void ValidateLogitsRows(std::span<const LogitsRow> wanted, int64_t rows, int64_t vocab) {
  int64_t alternatives = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const LogitsRow& row = wanted[i];
    CheckRange(i, "rows", row.row, i == 0 ? 0 : wanted[i - 1].row + 1,
               static_cast<double>(rows - 1));
    CheckRange(i, "targets", row.target, -1, static_cast<double>(vocab - 1));
    CheckRange(i, "logprobs", row.logprobs, -1, static_cast<double>(vocab));
    CheckRange(i, "positions", row.position, 0, 2147483647);
    CheckRange(i, "sequenceIndices", row.sequence_index, 0, 2147483647);
    CheckTokens(i, "promptTokens", row.prompt_tokens, vocab);
    CheckTokens(i, "outputTokens", row.output_tokens, vocab);
    if (row.sampling) CheckSampling(i, *row.sampling, vocab);
    alternatives += std::max(row.logprobs, 0);
    if (alternatives > kMaxAlternatives) {
      Refuse(i, "logprobs", Message("at most ", kMaxAlternatives, " in all"),
             static_cast<double>(alternatives));
    }
  }
}

}  // namespace conclave
