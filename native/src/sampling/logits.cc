#include "logits.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "conclave/base/error.h"
#include "conclave/base/exponential.h"

namespace conclave {
namespace {

// Logits taken at once, in loops that compile to vector code.
constexpr size_t kStrip = 512;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Highest of a strip; adds the number of NaN and +infinity to *bad.
float HighestOf(const float* logits, size_t count, int* bad) {
  float lanes[16];
  std::fill_n(lanes, 16, -kInfinity);
  int broken = 0;
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (size_t j = 0; j < 16; ++j) {
      lanes[j] = logits[i + j] > lanes[j] ? logits[i + j] : lanes[j];
      broken += !(logits[i + j] < kInfinity);
    }
  }
  for (; i < count; ++i) {
    lanes[0] = logits[i] > lanes[0] ? logits[i] : lanes[0];
    broken += !(logits[i] < kInfinity);
  }
  *bad += broken;
  return *std::max_element(lanes, lanes + 16);
}

}  // namespace

TokenLogit Highest(std::span<const float> logits) {
  float highest = -kInfinity;
  size_t best_strip = 0;
  int bad = 0;
  for (size_t at = 0; at < logits.size(); at += kStrip) {
    const float strip = HighestOf(logits.data() + at, std::min(kStrip, logits.size() - at), &bad);
    if (strip > highest) {
      highest = strip;
      best_strip = at;
    }
  }
  if (bad != 0 || highest == -kInfinity) {
    throw Error(ErrorCode::kNonFinite, bad != 0 ? "logits: " + std::to_string(bad) + " of " +
                                                      std::to_string(logits.size()) +
                                                      " are NaN or +infinity"
                                                : std::string("logits: all are -infinity"));
  }
  const auto found =
      std::find(logits.begin() + static_cast<int64_t>(best_strip), logits.end(), highest);
  return {static_cast<int32_t>(found - logits.begin()), highest};
}

float LogSumExp(std::span<const float> logits, float highest) {
  // Strips of 16 sums each, added up in f64: the error of a sum does not grow with the vocabulary.
  double total = 0;
  for (size_t at = 0; at < logits.size(); at += kStrip) {
    const size_t end = std::min(kStrip, logits.size() - at);
    const float* x = logits.data() + at;
    float sums[16] = {};
    size_t i = 0;
    for (; i + 16 <= end; i += 16) {
      for (size_t j = 0; j < 16; ++j) sums[j] += Exp(x[i + j] - highest);
    }
    for (; i < end; ++i) sums[0] += Exp(x[i] - highest);
    for (const float sum : sums) total += double{sum};
  }
  return static_cast<float>(double{highest} + std::log(total));
}

void SelectHighest(std::span<const float> logits, int64_t k, bool sorted,
                   std::vector<TokenLogit>* out) {
  out->clear();
  if (k <= 0) return;
  const size_t keep =
      static_cast<size_t>(std::min<int64_t>(k, static_cast<int64_t>(logits.size())));
  const size_t limit = 2 * keep + kStrip;
  // Whatever is at least the k-th highest of those seen so far is collected; when there are too
  // many, the rest is dropped.
  float threshold = -kInfinity;
  bool full = false;
  for (size_t at = 0; at < logits.size(); at += kStrip) {
    const size_t end = std::min(at + kStrip, logits.size());
    int passed = 0;
    for (size_t i = at; i < end; ++i) passed += logits[i] > threshold;
    if (passed == 0 && full) continue;
    for (size_t i = at; i < end; ++i) {
      if (!full || logits[i] > threshold) out->push_back({static_cast<int32_t>(i), logits[i]});
    }
    if (out->size() >= limit) {
      std::nth_element(out->begin(), out->begin() + static_cast<int64_t>(keep) - 1, out->end(),
                       Before);
      out->resize(keep);
      threshold = out->back().logit;
      full = true;
    }
  }
  if (out->size() > keep) {
    std::nth_element(out->begin(), out->begin() + static_cast<int64_t>(keep) - 1, out->end(),
                     Before);
    out->resize(keep);
  }
  if (sorted) std::sort(out->begin(), out->end(), Before);
}

}  // namespace conclave
