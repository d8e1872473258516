#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "conclave/backend/backend.h"
#include "conclave/model/spec.h"
#include "cuda/device-check/report.h"

namespace conclave::device_check {

// What steps are timed of: so many sequences, each with a token after `context` others; and one
// sequence of `prompt` tokens.
struct StepSizes {
  std::vector<int64_t> sequences;
  int32_t context;
  int32_t prompt;
};

// Whole steps of a model, with random weights, beside what they read and multiply at least. Ends
// between steps after `deadline`.
std::vector<Timing> TimeSteps(const std::shared_ptr<Backend>& backend, const ModelSpec& spec,
                              const StepSizes& sizes,
                              std::chrono::steady_clock::time_point deadline);

}  // namespace conclave::device_check
