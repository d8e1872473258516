// Top-k gating: token -> experts.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "conclave/backend/host_backend.h"
#include "conclave/base/expect.h"
#include "conclave/base/exponential.h"
#include "kernels/cpu/ops.h"

namespace conclave {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

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

// Logits, scores and what experts are picked by, of one row.
struct GateRow {
  const float* logits;
  int experts;
  std::array<float, kMaxExperts> scores;
  std::array<float, kMaxExperts> choice;
};

// Throws kNonFinite unless the row has an expert to pick.
void CheckLogits(const GateRow& row, float highest) {
  int bad = 0;
  for (int e = 0; e < row.experts; ++e)
    bad += !(row.logits[e] < std::numeric_limits<float>::infinity());
  if (bad == 0 && highest != kNever) return;
  throw Error(ErrorCode::kNonFinite, "gate logits: " + std::to_string(bad) + " of " +
                                         std::to_string(row.experts) +
                                         " of a row are NaN or infinite");
}

void FindScores(GateRow& row, GateScoring scoring) {
  float highest = kNever;
  float sum = 1;
  if (scoring == GateScoring::kSoftmaxAll) {
    sum = 0;
    for (int e = 0; e < row.experts; ++e) highest = std::max(highest, row.logits[e]);
    for (int e = 0; e < row.experts; ++e) sum += Exp(row.logits[e] - highest);
  }
  for (int e = 0; e < row.experts; ++e) {
    const float x = row.logits[e];
    float score = x;
    if (scoring == GateScoring::kSoftmaxAll) score = Exp(x - highest) / sum;
    if (scoring == GateScoring::kSigmoid) score = 1 / (1 + Exp(-x));
    if (scoring == GateScoring::kSqrtSoftplus)
      score = std::sqrt(std::max(x, 0.0f) + std::log1p(Exp(-std::abs(x))));
    row.scores[static_cast<size_t>(e)] = score;
  }
}

// Experts outside the best groups become unpickable.
void KeepBestGroups(const GateGroups& groups, GateRow& row) {
  const int size = row.experts / groups.count;
  std::array<float, kMaxExperts> best;
  for (int g = 0; g < groups.count; ++g) {
    float first = kNever;
    float second = kNever;
    for (int e = g * size; e < (g + 1) * size; ++e) {
      const float value = row.choice[static_cast<size_t>(e)];
      second = std::max(second, std::min(first, value));
      first = std::max(first, value);
    }
    best[static_cast<size_t>(g)] = groups.by_two && size > 1 ? first + second : first;
  }
  for (int g = 0; g < groups.count; ++g) {
    int better = 0;
    for (int other = 0; other < groups.count; ++other) {
      const float a = best[static_cast<size_t>(other)];
      const float b = best[static_cast<size_t>(g)];
      better += a > b || (a == b && other < g);
    }
    if (better >= groups.kept)
      std::fill_n(row.choice.begin() + static_cast<ptrdiff_t>(g) * size, size, kNever);
  }
}

// Each pick: the softmax over the logits that are close to the best one left.
void Sparsemixer(GateRow& row, const GateParams& params, int32_t* ids, float* weights) {
  std::copy_n(row.logits, row.experts, row.choice.begin());
  for (int k = 0; k < params.top_k; ++k) {
    PickTop(row.choice.data(), row.experts, 1, ids + k);
    const float highest = row.choice[static_cast<size_t>(ids[k])];
    float sum = 0;
    for (int e = 0; e < row.experts; ++e) {
      const float x = row.logits[e];
      if ((highest - x) / std::max(std::abs(x), highest) > 2 * params.jitter) continue;
      sum += Exp(row.choice[static_cast<size_t>(e)] - highest);
    }
    weights[k] = params.weight_multiplier / sum;
    row.choice[static_cast<size_t>(ids[k])] = kNever;
  }
}

// Softmax over the picked logits, or over all: the largest first, as PickTop orders them.
void SoftmaxWeights(const GateRow& row, const GateParams& params, const int32_t* ids,
                    float* weights) {
  const float highest = row.logits[ids[0]];
  float sum = 0;
  if (params.scoring == GateScoring::kSoftmaxAll) {
    for (int e = 0; e < row.experts; ++e) sum += Exp(row.logits[e] - highest);
  } else {
    for (int j = 0; j < params.top_k; ++j) sum += Exp(row.logits[ids[j]] - highest);
  }
  for (int j = 0; j < params.top_k; ++j)
    weights[j] = Exp(row.logits[ids[j]] - highest) / sum * params.weight_multiplier;
}

void ScoreWeights(const GateRow& row, const GateParams& params, const int32_t* ids,
                  float* weights) {
  float divisor = 1;
  if (params.renormalise) {
    divisor = 0;
    for (int j = 0; j < params.top_k; ++j) divisor += row.scores[static_cast<size_t>(ids[j])];
    divisor = std::max(divisor, params.smallest_sum);
  }
  for (int j = 0; j < params.top_k; ++j)
    weights[j] = row.scores[static_cast<size_t>(ids[j])] / divisor * params.weight_multiplier;
}

}  // namespace

void TopKGate(const float* logits, int64_t rows, int experts, const GateParams& params,
              const int32_t* picked, int32_t* ids, float* weights) {
  const int top_k = params.top_k;
  Expect(experts >= 1 && experts <= kMaxExperts, "experts", "1 to 1024", experts);
  Expect(top_k >= 1 && top_k <= kMaxTopK && top_k <= experts, "topK",
         "1 to 32 and at most the number of experts", top_k);
  const float* const correction =
      params.correction != nullptr ? HostPointer(*params.correction) : nullptr;
  const float* const scales = params.scales != nullptr ? HostPointer(*params.scales) : nullptr;
  const bool by_scores = correction != nullptr || params.groups.count > 0 || picked != nullptr;
  const bool softmax = params.scoring == GateScoring::kSoftmaxTopK ||
                       (params.scoring == GateScoring::kSoftmaxAll && !params.renormalise);
  GateRow row;
  row.experts = experts;
  for (int64_t r = 0; r < rows; ++r, ids += top_k, weights += top_k) {
    row.logits = logits + r * experts;
    PickTop(row.logits, experts, top_k, ids);
    CheckLogits(row, row.logits[ids[0]]);
    if (params.scoring == GateScoring::kSparsemixer) {
      Sparsemixer(row, params, ids, weights);
      continue;
    }
    if (by_scores || !softmax) FindScores(row, params.scoring);
    if (by_scores) {
      for (int e = 0; e < experts; ++e) {
        const auto i = static_cast<size_t>(e);
        row.choice[i] = row.scores[i] + (correction != nullptr ? correction[e] : 0);
      }
      if (params.groups.count > 0) KeepBestGroups(params.groups, row);
      PickTop(row.choice.data(), experts, top_k, ids);
    }
    if (picked != nullptr) std::copy_n(picked + r * top_k, top_k, ids);
    if (softmax && !by_scores) {
      SoftmaxWeights(row, params, ids, weights);
    } else if (params.scoring == GateScoring::kSoftmaxTopK) {
      throw Error(ErrorCode::kUnsupported,
                  "gate: a softmax over the picked experts with groups or a correction bias");
    } else {
      ScoreWeights(row, params, ids, weights);
    }
    if (scales == nullptr) continue;
    for (int j = 0; j < top_k; ++j) weights[j] *= scales[ids[j]];
  }
}

}  // namespace conclave
