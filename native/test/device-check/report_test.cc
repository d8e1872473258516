#include "cuda/device-check/report.h"

#include <gtest/gtest.h>

#include <sstream>

namespace conclave::device_check {
namespace {

Report Example() {
  Report report;
  report.device = {0, "NVIDIA \"H200\"", 9, 0, size_t{140} << 30, 132, 232'448};
  report.model = "a layer";
  report.ceilings = {4e12, 8e14};
  report.parts = {{"conformance", "passed: 3 cases", 1.5}, {"operations", "skipped: no time", 0}};
  report.timings = {{"qkv", 1, 4e6, 8e6, 2e-6}, {"experts", 2048, 4e6, 8e9, 2e-5, 3e-5}};
  return report;
}

TEST(DeviceReport, TakesTheLargerOfBytesAndProductsForTheFloor) {
  const Report report = Example();
  EXPECT_DOUBLE_EQ(Floor(report.timings[0], report.ceilings), 1e-6);
  EXPECT_DOUBLE_EQ(Floor(report.timings[1], report.ceilings), 1e-5);
}

TEST(DeviceReport, HasFailedWhereAPartHas) {
  Report report = Example();
  EXPECT_TRUE(report.passed());
  report.parts.push_back({"ceilings", "failed: cudaMalloc", 0});
  EXPECT_FALSE(report.passed());
}

TEST(DeviceReport, ShowsWhatWasMeasuredBesideTheFloor) {
  std::ostringstream text;
  Example().Print(text);
  EXPECT_NE(text.str().find("qkv               1       1.0 us       2.0 us    0.50\n"),
            std::string::npos)
      << text.str();
  EXPECT_NE(text.str().find("experts        2048      10.0 us      20.0 us    0.50      30.0 us\n"),
            std::string::npos)
      << text.str();
  EXPECT_NE(text.str().find("conformance      1.5 s  passed: 3 cases\n"), std::string::npos)
      << text.str();
}

TEST(DeviceReport, IsWrittenAsJson) {
  std::ostringstream json;
  Example().WriteJson(json);
  EXPECT_EQ(json.str(), R"({
  "device": {"name": "NVIDIA \"H200\"", "computeCapability": "9.0", "totalBytes": 150323855360, "multiprocessors": 132},
  "copyBytesPerSecond": 4e+12, "flopsPerSecond": 8e+14,
  "model": "a layer",
  "parts": [
    {"name": "conformance", "outcome": "passed: 3 cases", "seconds": 1.500},
    {"name": "operations", "outcome": "skipped: no time", "seconds": 0.000}
  ],
  "operations": [
    {"operation": "qkv", "rows": 1, "floorSeconds": 1e-06, "seconds": 2e-06},
    {"operation": "experts", "rows": 2048, "floorSeconds": 1e-05, "seconds": 2e-05, "torchSeconds": 3e-05}
  ]
}
)");
}

}  // namespace
}  // namespace conclave::device_check
