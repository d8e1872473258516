#pragma once

#include <vector>

#include "conclave/sampling/sampling.h"

namespace conclave {

// Probability of each token when `sampling` draws from logits (penalties and bias applied before),
// by a full sort.
std::vector<double> ReferenceDistribution(const Sampling& sampling,
                                          const std::vector<double>& logits);

}  // namespace conclave
