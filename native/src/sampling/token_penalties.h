#pragma once

#include <cstdint>
#include <span>

#include "conclave/sampling/sampling.h"

namespace conclave {

// Adds biases, then for every token t of prompt or output, with n its count in the output:
//   l = l > 0 ? l / repetition : l * repetition;   l -= frequency * n + presence * (n > 0)
// What a penalty or bias would carry beyond the range of f32 stays at its end, so that no request
// makes the logits of its batch unusable.
// Throws kInvalidArgument for a token outside the vocabulary.
void AdjustLogits(const Sampling& sampling, std::span<const int32_t> prompt_tokens,
                  std::span<const int32_t> output_tokens, std::span<float> logits);

}  // namespace conclave
