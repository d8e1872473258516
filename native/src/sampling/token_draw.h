#pragma once

#include <span>

#include "conclave/sampling/sampling.h"

namespace conclave {

// Draws a token from softmax(logits / temperature), temperature > 0, cut to the top-k highest, then
// to the fewest of highest probability that hold at least top_p of what is left, then to those of
// at least min_p times the highest probability. `uniform` in [0, 1) picks by inverse distribution
// function in order of token id. Overwrites logits.
int32_t DrawToken(const Sampling& sampling, float highest, double uniform, std::span<float> logits);

}  // namespace conclave
