#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/reference/backend.h"

namespace conclave {
namespace {

// What streams give each other: rows j, columns k.
using Exchange = std::vector<std::vector<double>>;

void BalanceRows(Exchange& x, double epsilon) {
  for (std::vector<double>& row : x) {
    double sum = epsilon;
    for (const double v : row) sum += v;
    for (double& v : row) v /= sum;
  }
}

void BalanceColumns(Exchange& x, double epsilon) {
  for (size_t k = 0; k < x.size(); ++k) {
    double sum = epsilon;
    for (const std::vector<double>& row : x) sum += row[k];
    for (std::vector<double>& row : x) row[k] /= sum;
  }
}

Exchange Balanced(const StreamParams& params, const std::vector<double>& logits) {
  const auto n = static_cast<size_t>(params.streams);
  const double epsilon = params.epsilon;
  Exchange x(n);
  for (size_t j = 0; j < n; ++j) {
    const double highest = *std::max_element(&logits[j * n], &logits[j * n] + n);
    for (size_t k = 0; k < n; ++k) x[j].push_back(std::exp(logits[j * n + k] - highest));
  }
  BalanceRows(x, 0);
  for (std::vector<double>& row : x)
    for (double& v : row) v += epsilon;
  for (int i = 0; i < params.iterations; ++i) {
    if (i > 0) BalanceRows(x, epsilon);
    BalanceColumns(x, epsilon);
  }
  return x;
}

}  // namespace

void ReferenceBackend::WeighStreams(const StreamParams& params, const Vector& base,
                                    const Vector& scale, const Tensor& x) {
  const int64_t n = params.streams;
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  for (int64_t r = 0; r < x.rows; ++r) {
    float* const row = HostPointer(x) + r * x.width;
    std::vector<double> y;
    for (int64_t i = 0; i < x.width; ++i) {
      const int64_t part = std::min<int64_t>(i / n, 2);
      y.push_back(double{row[i]} * double{HostPointer(scale)[part]} + double{HostPointer(base)[i]});
    }
    for (int64_t i = 0; i < n; ++i)
      row[i] = static_cast<float>(sigmoid(y[static_cast<size_t>(i)]) + double{params.epsilon});
    if (x.width == n) continue;
    for (int64_t i = n; i < 2 * n; ++i)
      row[i] = static_cast<float>(2 * sigmoid(y[static_cast<size_t>(i)]));
    const Exchange exchange = Balanced(params, {y.begin() + 2 * n, y.end()});
    float* out = row + 2 * n;
    for (const std::vector<double>& from : exchange) out = std::copy(from.begin(), from.end(), out);
  }
}

void ReferenceBackend::ReadStreams(const StreamParams& params, const Tensor& weights,
                                   const Tensor& x, const Tensor& output) {
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t i = 0; i < output.width; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < params.streams; ++j) {
        sum += double{HostPointer(weights)[r * weights.width + j]} *
               double{HostPointer(x)[r * x.width + j * output.width + i]};
      }
      HostPointer(output)[r * output.width + i] = static_cast<float>(sum);
    }
  }
}

void ReferenceBackend::WriteStreams(const StreamParams& params, const Tensor& weights,
                                    const Tensor& y, const Tensor& x) {
  const int64_t n = params.streams;
  for (int64_t r = 0; r < x.rows; ++r) {
    const float* const by = HostPointer(weights) + r * weights.width;
    float* const streams = HostPointer(x) + r * x.width;
    const std::vector<double> before(streams, streams + x.width);
    for (int64_t k = 0; k < n; ++k) {
      for (int64_t i = 0; i < y.width; ++i) {
        double sum = double{by[n + k]} * double{HostPointer(y)[r * y.width + i]};
        for (int64_t j = 0; j < n; ++j)
          sum += double{by[2 * n + j * n + k]} * before[static_cast<size_t>(j * y.width + i)];
        streams[k * y.width + i] = static_cast<float>(sum);
      }
    }
  }
}

}  // namespace conclave
