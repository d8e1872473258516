#include "sampling/reference_distribution.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace conclave {
namespace {

std::vector<int32_t> DescendingOrder(const std::vector<double>& values) {
  std::vector<int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return values[a] > values[b]; });
  return order;
}

}  // namespace

std::vector<double> ReferenceDistribution(const Sampling& sampling,
                                          const std::vector<double>& logits) {
  std::vector<int32_t> order = DescendingOrder(logits);
  if (sampling.temperature == 0) order.resize(1);
  if (sampling.top_k > 0 && static_cast<size_t>(sampling.top_k) < order.size())
    order.resize(static_cast<size_t>(sampling.top_k));
  const double temperature = sampling.temperature == 0 ? 1.0 : double{sampling.temperature};
  const double highest = logits[static_cast<size_t>(order[0])];
  std::vector<double> probabilities(logits.size(), 0.0);
  const auto renormalise = [&] {
    std::fill(probabilities.begin(), probabilities.end(), 0.0);
    double sum = 0;
    for (const int32_t t : order)
      sum += std::exp((logits[static_cast<size_t>(t)] - highest) / temperature);
    for (const int32_t t : order) {
      probabilities[static_cast<size_t>(t)] =
          std::exp((logits[static_cast<size_t>(t)] - highest) / temperature) / sum;
    }
  };
  renormalise();
  double mass = 0;
  size_t kept = 0;
  while (kept < order.size() && mass < double{sampling.top_p})
    mass += probabilities[static_cast<size_t>(order[kept++])];
  if (sampling.top_p < 1) order.resize(kept);
  renormalise();
  const double least = double{sampling.min_p} * probabilities[static_cast<size_t>(order[0])];
  std::erase_if(order, [&](int32_t t) { return probabilities[static_cast<size_t>(t)] < least; });
  renormalise();
  return probabilities;
}

}  // namespace conclave
