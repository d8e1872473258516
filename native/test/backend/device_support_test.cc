#include "kernels/cuda/runtime/device_support.h"

#include <gtest/gtest.h>

namespace conclave::cuda {
namespace {

constexpr const char* kCompiled = "80,90a,100a";

DeviceInfo Device(const std::string& name, int major, int minor, size_t shared = 228 * 1024) {
  return {0, name, major, minor, size_t{80} << 30, 100, shared};
}

TEST(DeviceSupport, SaysWhatIsWrongWithTheDriver) {
  EXPECT_EQ(DriverProblem(0, 13000),
            "no device: CUDA driver version is insufficient: there is no NVIDIA driver on this "
            "machine, or none in this container");
  EXPECT_EQ(DriverProblem(12040, 13000),
            "no device: CUDA driver version is insufficient: the NVIDIA driver supports CUDA 12.4, "
            "and this build needs 13.0: install a newer driver");
}

TEST(DeviceSupport, TakesDevicesThatTheCodeRunsOn) {
  for (const auto& [major, minor] : {std::pair(8, 0), {8, 6}, {8, 9}, {9, 0}, {10, 0}})
    EXPECT_EQ(DeviceProblem(Device("GPU", major, minor), kCompiled), std::nullopt)
        << major << "." << minor;
  EXPECT_EQ(DeviceProblem(Device("B300", 10, 3), "100f"), std::nullopt);
}

TEST(DeviceSupport, NamesADeviceThatItHasNoCodeFor) {
  for (const auto& [major, minor] : {std::pair(6, 1), {7, 5}, {10, 3}, {12, 0}})
    EXPECT_TRUE(DeviceProblem(Device("GPU", major, minor), kCompiled)) << major << "." << minor;
  EXPECT_TRUE(DeviceProblem(Device("A100", 8, 0), "86"));
  EXPECT_EQ(DeviceProblem(Device("NVIDIA GeForce RTX 5090", 12, 0), kCompiled),
            "NVIDIA GeForce RTX 5090 has compute capability 12.0, and this build has code for 8.0 "
            "and later of 8.x, 9.0, 10.0");
}

TEST(DeviceSupport, NamesADeviceThatIsTooSmall) {
  EXPECT_EQ(DeviceProblem(Device("NVIDIA Orin", 8, 7, 48 * 1024), kCompiled),
            "NVIDIA Orin is too small: a block has 49152 bytes of shared memory, and kernels need "
            "101376");
}

}  // namespace
}  // namespace conclave::cuda
