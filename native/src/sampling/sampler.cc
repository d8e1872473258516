// Choice of a token from a row of logits.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "conclave/base/expect.h"
#include "conclave/base/parallel_rows.h"
#include "conclave/sampling/sampling.h"
#include "logits.h"
#include "philox.h"
#include "token_draw.h"
#include "token_penalties.h"

namespace conclave {
namespace {

void CheckSampling(const Sampling& s) {
  ExpectNumber(s.temperature >= 0 && std::isfinite(s.temperature), "temperature", "0 or more",
               double{s.temperature});
  Expect(s.top_k >= 0, "topK", "0 or more", s.top_k);
  ExpectNumber(s.top_p > 0 && s.top_p <= 1, "topP", "more than 0 and at most 1", double{s.top_p});
  ExpectNumber(s.min_p >= 0 && s.min_p <= 1, "minP", "0 to 1", double{s.min_p});
  ExpectNumber(s.repetition_penalty > 0 && std::isfinite(s.repetition_penalty), "repetitionPenalty",
               "more than 0", double{s.repetition_penalty});
  ExpectNumber(std::isfinite(s.presence_penalty), "presencePenalty", "a finite number",
               double{s.presence_penalty});
  ExpectNumber(std::isfinite(s.frequency_penalty), "frequencyPenalty", "a finite number",
               double{s.frequency_penalty});
  Expect(s.bias_tokens.size() == s.bias_values.size(), "biasValues",
         "as many entries as biasTokens", static_cast<int64_t>(s.bias_values.size()));
  for (const float bias : s.bias_values)
    ExpectNumber(std::isfinite(bias), "biasValues", "finite numbers", double{bias});
}

bool AdjustsLogits(const Sampling& s) { return !s.bias_tokens.empty() || s.PenalisesOutput(); }

constexpr float kImpossible = -std::numeric_limits<float>::infinity();

// Makes all tokens impossible that the mask does not allow. Returns whether one is left.
bool ApplyMask(std::span<const uint32_t> allowed, std::span<float> logits) {
  Expect(allowed.size() == (logits.size() + 31) / 32, "mask", "one bit for each token",
         static_cast<int64_t>(allowed.size()));
  bool left = false;
  for (size_t first = 0; first < logits.size(); first += 32) {
    const uint32_t word = allowed[first / 32];
    const size_t end = std::min(logits.size(), first + 32);
    if (word == 0) {
      std::fill(logits.begin() + static_cast<int64_t>(first),
                logits.begin() + static_cast<int64_t>(end), kImpossible);
      continue;
    }
    for (size_t i = first; i < end; ++i) {
      logits[i] = (word >> (i - first) & 1) != 0 ? logits[i] : kImpossible;
      left = left || logits[i] != kImpossible;
    }
  }
  return left;
}

// -1 where the mask allows no token.
int32_t ChooseToken(const LogitsRequest& request, TokenLogit highest, std::span<float> logits) {
  const bool adjusts = request.sampling != nullptr && AdjustsLogits(*request.sampling);
  if (adjusts)
    AdjustLogits(*request.sampling, request.prompt_tokens, request.output_tokens, logits);
  bool masked = false;
  if (request.mask != nullptr) {
    const std::span<const uint32_t> allowed = request.mask->Allowed(request.output_tokens);
    masked = !allowed.empty();
    if (masked && !ApplyMask(allowed, logits)) return -1;
  }
  if (adjusts || masked) highest = Highest(logits);
  if (request.sampling == nullptr) return highest.token;
  const Sampling& sampling = *request.sampling;
  if (sampling.temperature == 0) return highest.token;
  const double uniform = PhiloxUniform(sampling.seed, static_cast<uint32_t>(request.sequence_index),
                                       static_cast<uint32_t>(request.position));
  return DrawToken(sampling, highest.logit, uniform, logits);
}

}  // namespace

LogitsResult Sample(const LogitsRequest& request, std::span<float> logits) {
  Expect(!logits.empty() && logits.size() <= INT32_MAX, "logits", "1 to 2^31 - 1 entries",
         static_cast<int64_t>(logits.size()));
  Expect(request.target >= -1 && request.target < static_cast<int64_t>(logits.size()), "target",
         "-1 or a token of the vocabulary", request.target);
  Expect(request.logprobs >= -1, "logprobs", "-1 or more", request.logprobs);
  if (request.sampling != nullptr) CheckSampling(*request.sampling);

  LogitsResult result{.token = request.target,
                      .logprob = std::numeric_limits<float>::quiet_NaN(),
                      .top_tokens = {},
                      .top_logprobs = {}};
  const TokenLogit highest = Highest(logits);
  const bool scored = request.target >= 0 || request.logprobs >= 0;
  if (!scored) {
    result.token = ChooseToken(request, highest, logits);
    return result;
  }

  // Log-probabilities are of the model's own logits: taken before the choice overwrites them.
  const float log_sum = LogSumExp(logits, highest.logit);
  if (request.logprobs > 0) {
    thread_local std::vector<TokenLogit> best;
    SelectHighest(logits, request.logprobs, true, &best);
    for (const TokenLogit& b : best) {
      result.top_tokens.push_back(b.token);
      result.top_logprobs.push_back(b.logit - log_sum);
    }
  }
  if (request.target < 0) {
    thread_local std::vector<float> adjustable;
    const bool plain = request.sampling == nullptr && request.mask == nullptr;
    if (!plain) adjustable.assign(logits.begin(), logits.end());
    result.token = ChooseToken(request, highest, plain ? logits : std::span<float>(adjustable));
    if (result.token < 0) return result;
  }
  result.logprob = logits[static_cast<size_t>(result.token)] - log_sum;
  return result;
}

void SampleRows(ThreadPool& pool, std::span<const LogitsRequest> requests, std::span<float> logits,
                std::span<LogitsResult> results) {
  if (requests.empty()) return;
  const size_t vocabulary = logits.size() / requests.size();
  const auto rows = static_cast<int64_t>(requests.size());
  ParallelRows(pool, rows, static_cast<int64_t>(vocabulary), [&](int64_t first, int64_t end) {
    for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(end); ++i)
      results[i] = Sample(requests[i], logits.subspan(i * vocabulary, vocabulary));
  });
}

}  // namespace conclave
