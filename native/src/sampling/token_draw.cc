#include "token_draw.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include "conclave/base/exponential.h"
#include "logits.h"

namespace conclave {
namespace {

// Weights added up at once, in loops that compile to vector code.
constexpr size_t kStrip = 256;
// Buckets of weights in [0, 1] by their upper bits: exponent and 6 bits, so 1.6 % wide.
constexpr int kBucketShift = 17;
constexpr size_t kBuckets = (std::bit_cast<uint32_t>(1.0f) >> kBucketShift) + 1;

size_t BucketOf(float weight) { return std::bit_cast<uint32_t>(weight) >> kBucketShift; }

// Drops all after `last`, in the order of Before.
void DropAfter(const TokenLogit& last, float dropped, std::span<float> values) {
  const auto split = static_cast<size_t>(last.token) + 1;
  for (size_t i = 0; i < split; ++i) values[i] = values[i] >= last.logit ? values[i] : dropped;
  for (size_t i = split; i < values.size(); ++i) {
    values[i] = values[i] > last.logit ? values[i] : dropped;
  }
}

void KeepTopK(int64_t k, std::span<float> logits) {
  thread_local std::vector<TokenLogit> best;
  SelectHighest(logits, k, false, &best);
  const TokenLogit last = *std::max_element(best.begin(), best.end(), Before);
  DropAfter(last, -std::numeric_limits<float>::infinity(), logits);
}

double SumOf(const float* weights, size_t count) {
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

// Sums of strips; returns their sum.
double SumStrips(std::span<const float> weights, std::vector<double>* strips) {
  strips->clear();
  double total = 0;
  for (size_t at = 0; at < weights.size(); at += kStrip) {
    strips->push_back(SumOf(weights.data() + at, std::min(kStrip, weights.size() - at)));
    total += strips->back();
  }
  return total;
}

// Of the candidates, in the order of Before, the first at which the sum of weights reaches `mass`;
// the last when it does not. A quickselect by weight.
TokenLogit ReachMass(double mass, std::vector<TokenLogit>* candidates) {
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
  return *begin;
}

// Keeps the fewest highest weights whose sum is at least `mass`: sums by bucket show in which of
// them the last one is.
void KeepMass(double mass, std::span<float> weights) {
  thread_local std::vector<double> sums;
  thread_local std::vector<TokenLogit> candidates;
  sums.assign(kBuckets, 0.0);
  for (const float weight : weights) {
    if (weight > 0) sums[BucketOf(weight)] += double{weight};
  }
  size_t bucket = kBuckets - 1;
  for (; bucket > 0 && sums[bucket] < mass; --bucket) mass -= sums[bucket];
  candidates.clear();
  for (size_t i = 0; i < weights.size(); ++i) {
    if (BucketOf(weights[i]) == bucket) candidates.push_back({static_cast<int32_t>(i), weights[i]});
  }
  if (!candidates.empty()) DropAfter(ReachMass(mass, &candidates), 0.0f, weights);
}

// Inverse distribution function over weights in order of token.
int32_t Pick(double uniform, std::span<const float> weights, const std::vector<double>& strips,
             double total) {
  double rest = uniform * total;
  size_t strip = 0;
  // Where rounding carries `rest` past the end, the last weight above 0 is taken.
  for (size_t s = 0; s < strips.size(); ++s) {
    if (strips[s] <= 0) continue;
    strip = s;
    if (rest < strips[s]) break;
    rest -= strips[s];
  }
  const size_t end = std::min(weights.size(), (strip + 1) * kStrip);
  int32_t token = -1;
  for (size_t i = strip * kStrip; i < end; ++i) {
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
  if (sampling.top_k > 0 && static_cast<size_t>(sampling.top_k) < logits.size()) {
    KeepTopK(sampling.top_k, logits);
  }
  // From here on, weights relative to the highest, which is 1.
  const std::span<float> weights = logits;
  const float temperature = sampling.temperature;
  for (float& x : weights) x = Exp((x - highest) / temperature);
  thread_local std::vector<double> strips;
  double total = SumStrips(weights, &strips);
  const bool filtered = sampling.top_p < 1 || sampling.min_p > 0;
  if (sampling.top_p < 1) KeepMass(double{sampling.top_p} * total, weights);
  if (sampling.min_p > 0) {
    for (float& x : weights) x = x < sampling.min_p ? 0.0f : x;
  }
  if (filtered) total = SumStrips(weights, &strips);
  return Pick(uniform, weights, strips, total);
}

}  // namespace conclave
