#include "token_penalties.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "conclave/base/expect.h"
#include "token_range.h"

namespace conclave {
namespace {

void CheckTokens(const char* name, std::span<const int32_t> tokens, size_t vocabulary) {
  if (AllTokensBelow(static_cast<int64_t>(vocabulary), tokens)) return;
  for (size_t i = 0; i < tokens.size(); ++i) {
    ExpectAt(tokens[i] >= 0 && static_cast<size_t>(tokens[i]) < vocabulary, name,
             static_cast<int64_t>(i), "a token of the vocabulary", tokens[i]);
  }
}

float Finite(float logit) {
  constexpr float kMost = std::numeric_limits<float>::max();
  return std::clamp(logit, -kMost, kMost);
}

// A token whose logit is -infinity is impossible and stays so.
bool Possible(float logit) { return logit != -std::numeric_limits<float>::infinity(); }

}  // namespace

void AdjustLogits(const Sampling& sampling, std::span<const int32_t> prompt_tokens,
                  std::span<const int32_t> output_tokens, std::span<float> logits) {
  CheckTokens("biasTokens", sampling.bias_tokens, logits.size());
  for (size_t i = 0; i < sampling.bias_tokens.size(); ++i) {
    float& logit = logits[static_cast<size_t>(sampling.bias_tokens[i])];
    if (Possible(logit)) logit = Finite(logit + sampling.bias_values[i]);
  }
  if (!sampling.PenalisesOutput()) return;
  if (!sampling.PenalisesPrompt()) prompt_tokens = {};
  CheckTokens("promptTokens", prompt_tokens, logits.size());
  CheckTokens("outputTokens", output_tokens, logits.size());

  // 0 between calls. A token's count in the output, -1 once its penalties are applied.
  thread_local std::vector<int32_t> counts;
  if (counts.size() < logits.size()) counts.resize(logits.size());
  for (const int32_t token : output_tokens) ++counts[static_cast<size_t>(token)];
  for (const std::span<const int32_t> tokens : {prompt_tokens, output_tokens}) {
    for (const int32_t token : tokens) {
      int32_t& count = counts[static_cast<size_t>(token)];
      float& logit = logits[static_cast<size_t>(token)];
      if (count < 0 || !Possible(logit)) continue;
      const float repeated =
          logit > 0 ? logit / sampling.repetition_penalty : logit * sampling.repetition_penalty;
      logit = Finite(Finite(repeated) - sampling.frequency_penalty * static_cast<float>(count));
      if (count > 0) logit = Finite(logit - sampling.presence_penalty);
      count = -1;
    }
  }
  for (const std::span<const int32_t> tokens : {prompt_tokens, output_tokens}) {
    for (const int32_t token : tokens) counts[static_cast<size_t>(token)] = 0;
  }
}

}  // namespace conclave
