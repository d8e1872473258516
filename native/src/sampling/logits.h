#pragma once

// Passes over a row of logits, [vocabulary], shared by scoring and sampling.

#include <cstdint>
#include <span>
#include <vector>

namespace conclave {

struct TokenLogit {
  int32_t token;
  float logit;
};

// Descending logit; of equals the lower token first.
inline bool Before(const TokenLogit& a, const TokenLogit& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

// The highest logit, of equals the lowest token. Throws kNonFinite for a NaN or +infinity, or when
// all are -infinity.
TokenLogit Highest(std::span<const float> logits);

// log sum exp(logits), given the highest.
float LogSumExp(std::span<const float> logits, float highest);

// The k highest (all when there are fewer), in the order of Before when `sorted`, else in no order.
void SelectHighest(std::span<const float> logits, int64_t k, bool sorted,
                   std::vector<TokenLogit>* out);

}  // namespace conclave
