#include "cuda/device-check/conformance.h"

#include <gtest/gtest.h>

#include "conclave/base/message.h"

namespace conclave::device_check {

std::string RunConformance(const std::string& cases) {
  testing::GTEST_FLAG(filter) = cases;
  testing::GTEST_FLAG(brief) = true;
  testing::InitGoogleTest();
  const int failed = RUN_ALL_TESTS();
  const testing::UnitTest& tests = *testing::UnitTest::GetInstance();
  if (failed != 0) {
    return Message("failed: ", tests.failed_test_count(), " of ", tests.test_to_run_count(),
                   " cases");
  }
  if (tests.test_to_run_count() == 0) return "failed: no case is called " + cases;
  return Message("passed: ", tests.test_to_run_count(), " cases");
}

}  // namespace conclave::device_check
