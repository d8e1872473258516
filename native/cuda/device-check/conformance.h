#pragma once

#include <string>

namespace conclave::device_check {

// Runs cases of the conformance suite, as --gtest_filter names them: "passed: 412 cases", or how
// many failed.
std::string RunConformance(const std::string& cases);

}  // namespace conclave::device_check
