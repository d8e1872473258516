#pragma once

// Models that a check is run on, as write-models.mjs writes them: compiled specs, and what an
// independent implementation computes of their checkpoints.

#include <optional>
#include <string>
#include <vector>

#include "conclave/base/element_types.h"
#include "conclave/model/spec.h"

namespace conclave::device_check {

// Tokens, and of every position but the last the log-probability of the next one and the standard
// deviation of the logits.
struct GoldenText {
  std::vector<int32_t> tokens;
  size_t prompt_tokens;
  std::vector<float> logprobs;
  std::vector<float> spreads;
};

struct GoldenModel {
  std::string name;
  std::string folder;
  ModelSpec spec;
  WeightsFormat weights;
  // What log-probabilities may be off by: each one, or as a root mean square in standard deviations
  // of the logits.
  std::optional<double> most_error;
  std::optional<double> most_noise;
  std::vector<GoldenText> texts;
};

struct CarriedModels {
  std::vector<GoldenModel> goldens;
  // A model without weights, whose tensors are all at the start of one file.
  ModelSpec large;
};

// Of a file, whose folders are relative to it. Throws kIo, kInvalidArgument.
CarriedModels ReadCarriedModels(const std::string& path);

}  // namespace conclave::device_check
