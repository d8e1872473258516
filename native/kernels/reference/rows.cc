#include "kernels/reference/rows.h"

#include <algorithm>
#include <cmath>
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

std::vector<double> ReferenceRmsNorm(const std::vector<double>& x,
                                     const std::vector<double>& weight, double epsilon) {
  double squares = 0;
  for (const double v : x) squares += v * v;
  const double root = std::sqrt(squares / static_cast<double>(x.size()) + epsilon);
  std::vector<double> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] / root * weight[i];
  return y;
}

std::vector<double> ReferenceRope(const Rope& rope, int32_t position,
                                  const std::vector<double>& head) {
  std::vector<double> y = head;
  const size_t half = rope.inverse_frequencies.size();
  for (size_t i = 0; i < half; ++i) {
    const double angle = double{static_cast<float>(position) * rope.inverse_frequencies[i]};
    const double c = std::cos(angle) * double{rope.attention_factor};
    const double s = std::sin(angle) * double{rope.attention_factor};
    const size_t first = rope.interleaved ? 2 * i : i;
    const size_t second = rope.interleaved ? 2 * i + 1 : i + half;
    y[first] = head[first] * c - head[second] * s;
    y[second] = head[second] * c + head[first] * s;
  }
  return y;
}

ReferenceGateResult ReferenceGate(const std::vector<double>& logits, int top_k, GateScoring scoring,
                                  double weight_multiplier) {
  ReferenceGateResult result{.ids = DescendingOrder(logits), .weights = {}};
  const double highest = logits[static_cast<size_t>(result.ids[0])];
  double sum = 0;
  for (size_t j = 0; j < logits.size(); ++j) {
    if (scoring == GateScoring::kSoftmaxTopK && j >= static_cast<size_t>(top_k)) break;
    sum += std::exp(logits[static_cast<size_t>(result.ids[j])] - highest);
  }
  result.ids.resize(static_cast<size_t>(top_k));
  for (const int32_t id : result.ids) {
    result.weights.push_back(std::exp(logits[static_cast<size_t>(id)] - highest) / sum *
                             weight_multiplier);
  }
  return result;
}

int ReferenceGrid(const std::vector<double>& x, double epsilon, int bits) {
  double squares = 0;
  for (const double v : x) squares += v * v;
  const double mean = squares / static_cast<double>(x.size()) + epsilon;
  // A row of zeros without epsilon, and one that is not finite, get the ends of the range.
  const double scale = std::sqrt(std::clamp(mean, 0x1p-252, 0x1p252));
  return (std::isnan(scale) ? 126 : std::ilogb(scale)) - bits;
}

std::vector<double> ReferenceAttention(const std::vector<double>& query,
                                       const std::vector<double>& keys,
                                       const std::vector<double>& values, double scale) {
  const size_t dims = query.size();
  std::vector<double> scores;
  for (size_t j = 0; j < keys.size(); j += dims) {
    scores.push_back(std::inner_product(query.begin(), query.end(), keys.begin() + j, 0.0) * scale);
  }
  const double highest = *std::max_element(scores.begin(), scores.end());
  std::vector<double> output(dims, 0.0);
  double sum = 0;
  for (size_t j = 0; j < scores.size(); ++j) {
    const double weight = std::exp(scores[j] - highest);
    sum += weight;
    for (size_t d = 0; d < dims; ++d) output[d] += weight * values[j * dims + d];
  }
  for (double& x : output) x /= sum;
  return output;
}

}  // namespace conclave
