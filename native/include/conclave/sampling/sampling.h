#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "conclave/base/thread_pool.h"
#include "conclave/sampling/token_mask.h"

namespace conclave {

// NativeSampling in native.ts.
struct Sampling {
  float temperature = 0;
  int top_k = 0;
  float top_p = 1;
  float min_p = 0;
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  uint64_t seed = 0;
  std::vector<int32_t> bias_tokens;
  std::vector<float> bias_values;

  // Presence and frequency count tokens of the output alone.
  bool PenalisesPrompt() const { return repetition_penalty != 1; }
  bool PenalisesOutput() const {
    return PenalisesPrompt() || presence_penalty != 0 || frequency_penalty != 0;
  }
};

// What is wanted of one row of logits.
struct LogitsRequest {
  int32_t target = -1;                 // >= 0: score this token; -1: sample
  int32_t logprobs = -1;               // alternatives; -1: no log-probabilities
  const Sampling* sampling = nullptr;  // null: greedy
  int32_t position = 0;
  int32_t sequence_index = 0;
  std::span<const int32_t> prompt_tokens;  // read where sampling->PenalisesPrompt()
  std::span<const int32_t> output_tokens;  // read by mask and where sampling->PenalisesOutput()
  TokenMask* mask = nullptr;               // null: all tokens
};

struct LogitsResult {
  int32_t token;  // -1: the mask allows none
  float logprob;  // before mask, temperature, penalties and filters; NaN when none was asked for
  std::vector<int32_t> top_tokens;
  std::vector<float> top_logprobs;
};

// Chooses or scores one token. `logits` [vocab] may be overwritten. Order: bias and penalties, then
// mask, temperature, top-k, top-p, min-p. The draw is Philox-4x32-10 keyed by seed over
// (sequence_index, position). Throws kNonFinite for NaN logits.
LogitsResult Sample(const LogitsRequest& request, std::span<float> logits);

// One result for each row of logits [requests, vocabulary].
void SampleRows(ThreadPool& pool, std::span<const LogitsRequest> requests, std::span<float> logits,
                std::span<LogitsResult> results);

}  // namespace conclave
