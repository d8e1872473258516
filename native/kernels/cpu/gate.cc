// Top-k gating: token -> experts.

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "conclave/base/expect.h"
#include "conclave/base/exponential.h"
#include "kernels/cpu/ops.h"

namespace conclave {
namespace {

// Ids of the k largest, descending; of equals the lower id first.
void PickTop(const float* logits, int experts, int k, int32_t* ids) {
  std::array<float, kMaxTopK> best;
  int count = 0;
  for (int e = 0; e < experts; ++e) {
    const float value = logits[e];
    if (count == k && !(value > best[static_cast<size_t>(k - 1)])) continue;
    int at = count < k ? count++ : k - 1;
    for (; at > 0 && value > best[static_cast<size_t>(at - 1)]; --at) {
      best[static_cast<size_t>(at)] = best[static_cast<size_t>(at - 1)];
      ids[at] = ids[at - 1];
    }
    best[static_cast<size_t>(at)] = value;
    ids[at] = e;
  }
}

}  // namespace

void TopKGate(const float* logits, int64_t rows, int experts, int top_k, GateScoring scoring,
              float weight_multiplier, int32_t* ids, float* weights) {
  Expect(experts >= 1 && experts <= kMaxExperts, "experts", "1 to 1024", experts);
  Expect(top_k >= 1 && top_k <= kMaxTopK && top_k <= experts, "topK",
         "1 to 32 and at most the number of experts", top_k);
  std::array<float, kMaxExperts> scores;
  for (int64_t row = 0; row < rows; ++row) {
    const float* x = logits + row * experts;
    int32_t* picked = ids + row * top_k;
    float* w = weights + row * top_k;
    int bad = 0;
    for (int e = 0; e < experts; ++e) bad += !(x[e] < std::numeric_limits<float>::infinity());
    PickTop(x, experts, top_k, picked);
    const float highest = x[picked[0]];
    if (bad != 0 || highest == -std::numeric_limits<float>::infinity()) {
      throw Error(ErrorCode::kNonFinite, "gate logits: " + std::to_string(bad) + " of " +
                                             std::to_string(experts) +
                                             " of a row are NaN or infinite");
    }
    float sum = 0;
    if (scoring == GateScoring::kSoftmaxAll) {
      for (int e = 0; e < experts; ++e) scores[static_cast<size_t>(e)] = Exp(x[e] - highest);
      for (int e = 0; e < experts; ++e) sum += scores[static_cast<size_t>(e)];
    } else {
      for (int j = 0; j < top_k; ++j) sum += Exp(x[picked[j]] - highest);
    }
    for (int j = 0; j < top_k; ++j) w[j] = Exp(x[picked[j]] - highest) / sum * weight_multiplier;
  }
}

}  // namespace conclave
