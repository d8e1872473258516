#pragma once

// Programs that a check runs beside its own work where the machine has them.

#include <string>
#include <vector>

#include "cuda/device-check/report.h"

namespace conclave::device_check {

// compute-sanitizer over cases of the conformance suite, by one of its tools: "passed",
// "skipped: …" or "failed: …".
std::string RunSanitizer(const std::string& tool, const std::string& cases, int device,
                         int seconds);

// torch's times for the operations of `timings`, by the script, into them.
std::string RunTorch(const std::string& script, int device, int seconds,
                     std::vector<Timing>* timings);

}  // namespace conclave::device_check
