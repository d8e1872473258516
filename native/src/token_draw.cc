#include "src/token_draw.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "src/exponential.h"
#include "src/logits.h"

namespace conclave {
namespace {

constexpr size_t kStrip = 256;

// Candidates hold a token and its weight exp((logit - highest) / temperature); the order of weights
// is that of logits but for equals by rounding, which cannot change what is drawn by more than that
// rounding.
using Candidates = std::vector<TokenLogit>;

double WeightOf(const Candidates& candidates) {
  double sum = 0;
  for (const TokenLogit& c : candidates) sum += double{c.logit};
  return sum;
}

// Keeps the first candidates, in the order of Before, whose weights add up to `mass`: a quickselect
// by weight.
void KeepMass(double mass, Candidates* candidates) {
  auto begin = candidates->begin();
  auto end = candidates->end();
  while (end - begin > 1) {
    const auto middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end, Before);
    double upper = 0;
    for (auto c = begin; c != middle; ++c) upper += double{c->logit};
    if (upper >= mass) {
      end = middle;
    } else {
      mass -= upper;
      begin = middle;
    }
  }
  candidates->erase(end, candidates->end());
}

int32_t PickCandidate(double uniform, Candidates* candidates) {
  std::sort(candidates->begin(), candidates->end(),
            [](const TokenLogit& a, const TokenLogit& b) { return a.token < b.token; });
  double rest = uniform * WeightOf(*candidates);
  int32_t token = candidates->front().token;
  for (const TokenLogit& c : *candidates) {
    if (c.logit <= 0) continue;
    token = c.token;
    if (rest < double{c.logit}) break;
    rest -= double{c.logit};
  }
  return token;
}

double StripWeight(const float* weights, size_t count) {
  float sums[16] = {};
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (size_t j = 0; j < 16; ++j) sums[j] += weights[i + j];
  }
  for (; i < count; ++i) sums[0] += weights[i];
  double total = 0;
  for (const float sum : sums) total += double{sum};
  return total;
}

// Sums of strips; *total is their sum.
void StripWeights(std::span<const float> weights, std::vector<double>* strips, double* total) {
  strips->clear();
  *total = 0;
  for (size_t at = 0; at < weights.size(); at += kStrip) {
    strips->push_back(StripWeight(weights.data() + at, std::min(kStrip, weights.size() - at)));
    *total += strips->back();
  }
}

// Draws from weights that need no order.
int32_t PickWeight(double uniform, std::span<const float> weights,
                   const std::vector<double>& strips, double total) {
  double rest = uniform * total;
  size_t strip = 0;
  size_t last = 0;  // Last strip with a weight, for a uniform that rounding carried past the end.
  for (; strip < strips.size(); ++strip) {
    if (strips[strip] <= 0) continue;
    last = strip;
    if (rest < strips[strip]) break;
    rest -= strips[strip];
  }
  if (strip == strips.size()) strip = last;
  int32_t token = -1;
  for (size_t i = strip * kStrip; i < std::min(weights.size(), (strip + 1) * kStrip); ++i) {
    if (weights[i] <= 0) continue;
    token = static_cast<int32_t>(i);
    if (rest < double{weights[i]}) break;
    rest -= double{weights[i]};
  }
  return token;
}

}  // namespace

int32_t DrawToken(const Sampling& sampling, float highest, double uniform,
                  std::span<float> logits) {
  thread_local Candidates candidates;
  thread_local std::vector<double> strips;
  const float temperature = sampling.temperature;
  const bool top_k = sampling.top_k > 0 && static_cast<size_t>(sampling.top_k) < logits.size();
  const bool top_p = sampling.top_p < 1;
  double total = 0;
  if (top_k) {
    SelectHighest(logits, sampling.top_k, false, &candidates);
    for (TokenLogit& c : candidates) c.logit = Exp((c.logit - highest) / temperature);
    total = WeightOf(candidates);
  } else {
    for (float& x : logits) x = Exp((x - highest) / temperature);
    StripWeights(logits, &strips, &total);
    if (!top_p) {
      if (sampling.min_p > 0) {
        for (float& x : logits) x = x < sampling.min_p ? 0.0f : x;  // The highest weight is 1.
        StripWeights(logits, &strips, &total);
      }
      return PickWeight(uniform, logits, strips, total);
    }
    // All that weigh less than this weigh less than 1 - top_p together.
    const float negligible = static_cast<float>((1 - double{sampling.top_p}) * total /
                                                static_cast<double>(logits.size()));
    candidates.clear();
    for (size_t i = 0; i < logits.size(); ++i) {
      if (logits[i] >= negligible) candidates.push_back({static_cast<int32_t>(i), logits[i]});
    }
  }
  if (top_p) KeepMass(double{sampling.top_p} * total, &candidates);
  if (sampling.min_p > 0)
    std::erase_if(candidates, [&](const TokenLogit& c) { return c.logit < sampling.min_p; });
  return PickCandidate(uniform, &candidates);
}

}  // namespace conclave
