#include "kernels/reference/rows.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace conclave {

std::vector<double> ReferenceRmsNorm(const std::vector<double>& x,
                                     const std::vector<double>& weight, double epsilon) {
  double squares = 0;
  for (const double v : x) squares += v * v;
  const double root = std::sqrt(squares / static_cast<double>(x.size()) + epsilon);
  std::vector<double> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] / root * weight[i];
  return y;
}

std::vector<double> ReferenceLayerNorm(const std::vector<double>& x, double epsilon) {
  const auto count = static_cast<double>(x.size());
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / count;
  double squares = 0;
  for (const double v : x) squares += (v - mean) * (v - mean);
  std::vector<double> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = (x[i] - mean) / std::sqrt(squares / count + epsilon);
  return y;
}

double ReferenceActivation(const ActivationParams& params, double gate, double up) {
  const double limit = params.limit;
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  switch (params.function) {
    case Activation::kSilu:
      return gate * sigmoid(gate) * up;
    case Activation::kGeluTanh:
      return gate * sigmoid(2 * std::sqrt(2 / M_PI) * (gate + 0.044715 * gate * gate * gate)) * up;
    case Activation::kClampedSwiglu:
      gate = std::min(gate, limit);
      return gate * sigmoid(1.702 * gate) * (std::clamp(up, -limit, limit) + 1);
    case Activation::kClampedSilu:
      gate = std::min(gate, limit);
      return gate * sigmoid(gate) * std::clamp(up, -limit, limit);
    case Activation::kReluSquared:
      return std::max(up, 0.0) * std::max(up, 0.0);
  }
  return 0;
}

std::vector<double> ReferenceRope(const Rope& rope, int32_t position,
                                  const std::vector<double>& head) {
  std::vector<double> y = head;
  const size_t half = rope.inverse_frequencies.size();
  for (size_t i = 0; i < half; ++i) {
    const double angle =
        double{static_cast<float>(position + rope.offset) * rope.inverse_frequencies[i]};
    const double c = std::cos(angle) * double{rope.attention_factor};
    const double s = std::sin(angle) * double{rope.attention_factor};
    const size_t first = rope.interleaved ? 2 * i : i;
    const size_t second = rope.interleaved ? 2 * i + 1 : i + half;
    y[first] = head[first] * c - head[second] * s;
    y[second] = head[second] * c + head[first] * s;
  }
  return y;
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
                                       const std::vector<double>& values,
                                       const AttentionParams& params, double sink) {
  const size_t dims = query.size();
  std::vector<double> scores;
  for (size_t j = 0; j < keys.size(); j += dims) {
    const double score = std::inner_product(query.begin(), query.end(), keys.begin() + j, 0.0) *
                         double{params.scale};
    const double cap = params.softcap;
    scores.push_back(cap > 0 ? cap * std::tanh(score / cap) : score);
  }
  const double highest = std::max(sink, *std::max_element(scores.begin(), scores.end()));
  const size_t width = values.size() / scores.size();
  std::vector<double> output(width, 0.0);
  double sum = std::exp(sink - highest);
  for (size_t j = 0; j < scores.size(); ++j) {
    const double weight = std::exp(scores[j] - highest);
    sum += weight;
    for (size_t d = 0; d < width; ++d) output[d] += weight * values[j * width + d];
  }
  for (double& x : output) x /= sum;
  return output;
}

}  // namespace conclave
