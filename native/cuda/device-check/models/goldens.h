#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "conclave/backend/backend.h"
#include "cuda/device-check/models/carried.h"

namespace conclave::device_check {

// Each model's log-probabilities against those of its reference; and whether all texts in one step
// give the bits of each text alone, whose continuation comes token by token. "passed: 91 models",
// or which failed and how.
std::string CheckGoldens(const std::shared_ptr<Backend>& backend,
                         const std::vector<GoldenModel>& models,
                         std::chrono::steady_clock::time_point deadline);

}  // namespace conclave::device_check
