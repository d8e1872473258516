#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "conclave/backend/host_backend.h"
#include "kernels/reference/rows.h"

namespace conclave {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

std::vector<int32_t> DescendingOrder(const std::vector<double>& values) {
  std::vector<int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return values[a] > values[b]; });
  return order;
}

std::vector<double> Softmax(const std::vector<double>& logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> y;
  for (const double logit : logits) y.push_back(std::exp(logit - highest));
  const double sum = std::accumulate(y.begin(), y.end(), 0.0);
  for (double& v : y) v /= sum;
  return y;
}

std::vector<double> Scores(const std::vector<double>& logits, GateScoring scoring) {
  if (scoring == GateScoring::kSoftmaxAll) return Softmax(logits);
  std::vector<double> y = logits;
  for (double& v : y) {
    if (scoring == GateScoring::kSigmoid) v = 1 / (1 + std::exp(-v));
    if (scoring == GateScoring::kSqrtSoftplus)
      v = std::sqrt(std::max(v, 0.0) + std::log1p(std::exp(-std::abs(v))));
  }
  return y;
}

// Experts outside the best groups become unpickable.
void KeepBestGroups(const GateGroups& groups, std::vector<double>& scores) {
  const size_t size = scores.size() / static_cast<size_t>(groups.count);
  std::vector<double> best;
  for (size_t first = 0; first < scores.size(); first += size) {
    std::vector<double> own(scores.begin() + first, scores.begin() + first + size);
    std::sort(own.rbegin(), own.rend());
    best.push_back(groups.by_two && size > 1 ? own[0] + own[1] : own[0]);
  }
  const std::vector<int32_t> order = DescendingOrder(best);
  for (size_t i = static_cast<size_t>(groups.kept); i < order.size(); ++i)
    std::fill_n(scores.begin() + static_cast<size_t>(order[i]) * size, size, kNever);
}

// Each pick: the softmax over the logits that are close to the best one left.
ReferenceGateResult Sparsemixer(const std::vector<double>& logits, const GateParams& params) {
  ReferenceGateResult result;
  std::vector<double> left = logits;
  for (int k = 0; k < params.top_k; ++k) {
    const auto best = static_cast<size_t>(DescendingOrder(left)[0]);
    const double highest = left[best];
    double sum = 0;
    for (size_t e = 0; e < left.size(); ++e) {
      const bool far = (highest - logits[e]) / std::max(std::abs(logits[e]), highest) >
                       2 * double{params.jitter};
      if (!far) sum += std::exp(left[e] - highest);
    }
    result.ids.push_back(static_cast<int32_t>(best));
    result.weights.push_back(double{params.weight_multiplier} / sum);
    left[best] = kNever;
  }
  return result;
}

}  // namespace

ReferenceGateResult ReferenceGate(const std::vector<double>& logits, const GateParams& params,
                                  const int32_t* picked) {
  if (params.scoring == GateScoring::kSparsemixer) return Sparsemixer(logits, params);
  std::vector<double> scores = Scores(logits, params.scoring);
  std::vector<double> choice = scores;
  if (params.correction != nullptr) {
    for (size_t e = 0; e < choice.size(); ++e)
      choice[e] += double{HostPointer(*params.correction)[e]};
  } else if (params.groups.count == 0) {
    choice = logits;
  }
  if (params.groups.count > 0) KeepBestGroups(params.groups, choice);
  ReferenceGateResult result{.ids = DescendingOrder(choice), .weights = {}};
  result.ids.resize(static_cast<size_t>(params.top_k));
  if (picked != nullptr) result.ids.assign(picked, picked + params.top_k);
  for (const int32_t id : result.ids) result.weights.push_back(scores[static_cast<size_t>(id)]);
  if (params.scoring == GateScoring::kSoftmaxTopK) result.weights = Softmax(result.weights);
  double divisor = 1;
  if (params.renormalise) {
    divisor = std::max(std::accumulate(result.weights.begin(), result.weights.end(), 0.0),
                       double{params.smallest_sum});
  }
  for (size_t j = 0; j < result.weights.size(); ++j) {
    result.weights[j] *= double{params.weight_multiplier} / divisor;
    if (params.scales != nullptr)
      result.weights[j] *= double{HostPointer(*params.scales)[result.ids[j]]};
  }
  return result;
}

}  // namespace conclave
