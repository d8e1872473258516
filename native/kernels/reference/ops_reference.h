#pragma once

// Plain counterparts of what ops.h declares, for tests: simple loops in f64.

#include <cstdint>
#include <vector>

#include "conclave/base/operator_parameters.h"
#include "conclave/sampling/sampling.h"

namespace conclave {

// x / sqrt(mean(x^2) + epsilon) * weight, of one row.
std::vector<double> ReferenceRmsNorm(const std::vector<double>& x,
                                     const std::vector<double>& weight, double epsilon);

// One head, rotated by `position`.
std::vector<double> ReferenceRope(const Rope& rope, int32_t position,
                                  const std::vector<double>& head);

struct ReferenceGateResult {
  std::vector<int32_t> ids;
  std::vector<double> weights;
};

// One row of logits, by a full sort.
ReferenceGateResult ReferenceGate(const std::vector<double>& logits, int top_k, GateScoring scoring,
                                  double weight_multiplier);

// Attention of one query vector at `position`: keys and values [positions, head_dim] of its
// sequence and head.
std::vector<double> ReferenceAttention(const std::vector<double>& query,
                                       const std::vector<double>& keys,
                                       const std::vector<double>& values, int64_t position,
                                       int64_t window, double scale);

// Probability of each token when `sampling` draws from logits (penalties and bias applied before),
// by a full sort.
std::vector<double> ReferenceDistribution(const Sampling& sampling,
                                          const std::vector<double>& logits);

}  // namespace conclave
