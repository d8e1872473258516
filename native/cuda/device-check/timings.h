#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "cuda/device-check/workload/workload.h"

namespace conclave::device_check {

using Clock = std::chrono::steady_clock;

// Every operation at each number of rows, until `deadline`; null `problem`: row 0 of every output
// had the same bits at every number of rows.
struct Timings {
  std::vector<Timing> timings;
  std::optional<std::string> problem;
  bool complete = true;
};

Timings TimeOperations(Backend& backend, const Workload& workload, const std::vector<int64_t>& rows,
                       Clock::time_point deadline);

}  // namespace conclave::device_check
