#include "kernels/cuda/runtime/device_support.h"

#include <charconv>
#include <vector>

#include "conclave/base/message.h"

namespace conclave::cuda {
namespace {

// Shared memory of a block that the largest kernels take: what 8.6 and 8.9 have.
constexpr size_t kSharedBytes = 99 * 1024;

struct Architecture {
  int major;
  int minor;
  char kind;  // 'a': of one device alone, 'f': of its family; else 0
};

std::vector<Architecture> Parse(std::string_view text) {
  std::vector<Architecture> parsed;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    int number = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + end, number);
    if (error == std::errc()) {
      const char kind = rest < text.data() + end && (*rest == 'a' || *rest == 'f') ? *rest : '\0';
      parsed.push_back({number / 10, number % 10, kind});
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parsed;
}

bool RunsOn(const Architecture& code, const DeviceInfo& device) {
  if (code.major != device.major) return false;
  return code.kind == 'a' ? code.minor == device.minor : code.minor <= device.minor;
}

std::string List(const std::vector<Architecture>& architectures) {
  std::string text;
  for (const Architecture& code : architectures) {
    if (!text.empty()) text += ", ";
    text += std::to_string(code.major) + "." + std::to_string(code.minor);
    if (code.kind == '\0') text += " and later of " + std::to_string(code.major) + ".x";
  }
  return text;
}

}  // namespace

std::string DriverProblem(int driver, int needed) {
  const auto version = [](int number) {
    return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
  };
  if (driver == 0) {
    return "no device: CUDA driver version is insufficient: there is no NVIDIA driver on this "
           "machine, or "
           "none in this container";
  }
  return "no device: CUDA driver version is insufficient: the NVIDIA driver supports CUDA " +
         version(driver) + ", and this build needs " + version(needed) + ": install a newer driver";
}

std::optional<std::string> DeviceProblem(const DeviceInfo& device, std::string_view architectures) {
  const std::vector<Architecture> compiled = Parse(architectures);
  bool runs = false;
  for (const Architecture& code : compiled) runs = runs || RunsOn(code, device);
  if (!runs) {
    return Message(device.name, " has compute capability ", device.major, ".", device.minor,
                   ", and this build has code for ", List(compiled));
  }
  if (device.shared_bytes_per_block < kSharedBytes) {
    return Message(device.name, " is too small: a block has ", device.shared_bytes_per_block,
                   " bytes of shared memory, and kernels need ", kSharedBytes);
  }
  return std::nullopt;
}

}  // namespace conclave::cuda
