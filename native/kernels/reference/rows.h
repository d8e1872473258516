#pragma once

// What a backend's operations do to single rows: simple loops in f64.

#include <cstdint>
#include <vector>

#include "conclave/backend/operations.h"

namespace conclave {

// x / sqrt(mean(x^2) + epsilon) * weight, of one row.
std::vector<double> ReferenceRmsNorm(const std::vector<double>& x,
                                     const std::vector<double>& weight, double epsilon);

// (x - mean(x)) / sqrt(variance(x) + epsilon), of one row.
std::vector<double> ReferenceLayerNorm(const std::vector<double>& x, double epsilon);

double ReferenceActivation(const ActivationParams& params, double gate, double up);

// One head, rotated by `position`.
std::vector<double> ReferenceRope(const Rope& rope, int32_t position,
                                  const std::vector<double>& head);

struct ReferenceGateResult {
  std::vector<int32_t> ids;
  std::vector<double> weights;
};

// One row of logits, by a full sort; `picked` [top_k]: the row's experts, or null.
ReferenceGateResult ReferenceGate(const std::vector<double>& logits, const GateParams& params,
                                  const int32_t* picked = nullptr);

// floor(log2(sqrt(mean(x^2) + epsilon))) - bits; see exact_sum.h.
int ReferenceGrid(const std::vector<double>& x, double epsilon, int bits);

// Whether a row reads a position with a key/value head.
bool IsSelected(const KeySelection& selection, int64_t row, int kv_head, int kv_heads,
                int64_t position);

// Attention of one query vector over keys [positions, head_dim] and values [positions, any width].
// `sink`: -infinity where there is none.
std::vector<double> ReferenceAttention(const std::vector<double>& query,
                                       const std::vector<double>& keys,
                                       const std::vector<double>& values,
                                       const AttentionParams& params, double sink);

}  // namespace conclave
