// The residual's parallel streams: what they give to a block's input, and take of its output.

#include <cmath>

#include "conclave/base/exponential.h"
#include "conclave/base/parallel_rows.h"
#include "kernels/cpu/backend.h"

namespace conclave {
namespace {

// y[i] = scale x[i] + base[i], of `count` elements.
void Shift(const float* base, float scale, int64_t count, float* x) {
  for (int64_t i = 0; i < count; ++i) x[i] = scale * x[i] + base[i];
}

void Sigmoids(float factor, float added, int64_t count, float* x) {
  for (int64_t i = 0; i < count; ++i) x[i] = factor / (1 + Exp(-x[i])) + added;
}

// Divides `count` elements that are `step` apart by their sum plus epsilon.
void Normalise(float epsilon, int64_t count, int64_t step, float* x) {
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += x[i * step];
  for (int64_t i = 0; i < count; ++i) x[i * step] /= sum + epsilon;
}

// x [n, n]: its rows become softmaxes, then rows and columns in turn sum to about 1.
void Balance(const StreamParams& params, float* x) {
  const int64_t n = params.streams;
  for (int64_t j = 0; j < n; ++j) {
    float* const row = x + j * n;
    float highest = row[0];
    for (int64_t k = 1; k < n; ++k) highest = row[k] > highest ? row[k] : highest;
    for (int64_t k = 0; k < n; ++k) row[k] = Exp(row[k] - highest);
    Normalise(0, n, 1, row);
    for (int64_t k = 0; k < n; ++k) row[k] += params.epsilon;
  }
  for (int iteration = 0; iteration < params.iterations; ++iteration) {
    for (int64_t j = 0; iteration > 0 && j < n; ++j) Normalise(params.epsilon, n, 1, x + j * n);
    for (int64_t k = 0; k < n; ++k) Normalise(params.epsilon, n, n, x + k);
  }
}

}  // namespace

void CpuBackend::WeighStreams(const StreamParams& params, const Vector& base, const Vector& scale,
                              const Tensor& x) {
  const int64_t n = params.streams;
  const float* const bases = HostPointer(base);
  const float* const scales = HostPointer(scale);
  ParallelRows(pool(), x.rows, x.width * 8 * (params.iterations + 1),
               [&](int64_t first, int64_t end) {
                 for (int64_t r = first; r < end; ++r) {
                   float* const row = HostPointer(x) + r * x.width;
                   Shift(bases, scales[0], n, row);
                   Sigmoids(1, params.epsilon, n, row);
                   if (x.width == n) continue;
                   Shift(bases + n, scales[1], n, row + n);
                   Sigmoids(2, 0, n, row + n);
                   Shift(bases + 2 * n, scales[2], n * n, row + 2 * n);
                   Balance(params, row + 2 * n);
                 }
               });
}

void CpuBackend::ReadStreams(const StreamParams& params, const Tensor& weights, const Tensor& x,
                             const Tensor& output) {
  const int64_t width = output.width;
  ParallelRows(pool(), x.rows, x.width, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; ++r) {
      const float* const by = HostPointer(weights) + r * weights.width;
      float* const out = HostPointer(output) + r * width;
      for (int64_t j = 0; j < params.streams; ++j) {
        const float* const stream = HostPointer(x) + r * x.width + j * width;
        for (int64_t i = 0; i < width; ++i) out[i] = (j == 0 ? 0 : out[i]) + by[j] * stream[i];
      }
    }
  });
}

void CpuBackend::WriteStreams(const StreamParams& params, const Tensor& weights, const Tensor& y,
                              const Tensor& x) {
  // Elements of all streams that are mixed at once.
  constexpr int64_t kPiece = 64;
  const int64_t n = params.streams;
  const int64_t width = y.width;
  ParallelRows(pool(), x.rows, x.width * (n + 1), [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; ++r) {
      const float* const by = HostPointer(weights) + r * weights.width + n;
      for (int64_t from = 0; from < width; from += kPiece) {
        const int64_t count = width - from < kPiece ? width - from : kPiece;
        const float* const in = HostPointer(y) + r * width + from;
        float* const streams = HostPointer(x) + r * x.width + from;
        float mixed[kMaxStreams][kPiece];
        for (int64_t k = 0; k < n; ++k) {
          for (int64_t i = 0; i < count; ++i) mixed[k][i] = by[k] * in[i];
          for (int64_t j = 0; j < n; ++j) {
            const float weight = by[n + j * n + k];
            const float* const stream = streams + j * width;
            for (int64_t i = 0; i < count; ++i) mixed[k][i] += weight * stream[i];
          }
        }
        for (int64_t k = 0; k < n; ++k)
          for (int64_t i = 0; i < count; ++i) streams[k * width + i] = mixed[k][i];
      }
    }
  });
}

}  // namespace conclave
