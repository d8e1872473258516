#pragma once

#include <string>

namespace conclave::device_check {

// Runs the conformance suite of the backend under check, and nothing else of it: "passed: 412
// cases", or which failed.
std::string RunConformance(const std::string& backend);

}  // namespace conclave::device_check
