#include "cuda/device-check/report.h"

#include <algorithm>
#include <cstdio>
#include <string_view>

namespace conclave::device_check {
namespace {

template <typename... Values>
std::string Format(const char* format, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

std::string Quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      quoted += Format("\\u%04x", static_cast<unsigned>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

}  // namespace

double Floor(const Timing& timing, const Ceilings& ceilings) {
  if (ceilings.copy_bytes_per_second == 0) return 0;
  return std::max(timing.bytes / ceilings.copy_bytes_per_second,
                  timing.flops / ceilings.flops_per_second);
}

bool Report::passed() const {
  return std::none_of(parts.begin(), parts.end(),
                      [](const Part& part) { return part.outcome.starts_with("failed"); });
}

void Report::Print(std::ostream& output) const {
  output << device.name << ", compute capability " << device.major << "." << device.minor << ", "
         << (device.total_bytes >> 20) << " MiB, " << device.multiprocessors
         << " multiprocessors\n";
  if (ceilings.copy_bytes_per_second > 0) {
    output << Format("copies %.2f TB/s, tensor cores %.1f TFLOP/s\n",
                     ceilings.copy_bytes_per_second / 1e12, ceilings.flops_per_second / 1e12);
  }
  for (const Part& part : parts)
    output << Format("%-12s %7.1f s  ", part.name.c_str(), part.seconds) << part.outcome << "\n";
  if (timings.empty()) return;
  if (!model.empty()) output << model << "\n";
  output << Format("%-12s %6s %12s %12s %7s %12s\n", "operation", "rows", "floor", "measured",
                   "share", "torch");
  for (const Timing& timing : timings) {
    const double floor = Floor(timing, ceilings);
    output << Format("%-12s %6lld %9.1f us %9.1f us %7.2f", timing.operation.c_str(),
                     static_cast<long long>(timing.rows), floor * 1e6, timing.seconds * 1e6,
                     floor / timing.seconds);
    if (timing.torch > 0) output << Format(" %9.1f us", timing.torch * 1e6);
    output << "\n";
  }
}

void Report::WriteJson(std::ostream& output) const {
  output << "{\n  \"device\": {\"name\": " << Quote(device.name) << ", \"computeCapability\": \""
         << device.major << "." << device.minor << "\", \"totalBytes\": " << device.total_bytes
         << ", \"multiprocessors\": " << device.multiprocessors << "},\n";
  output << Format("  \"copyBytesPerSecond\": %.6g, \"flopsPerSecond\": %.6g,\n",
                   ceilings.copy_bytes_per_second, ceilings.flops_per_second);
  output << "  \"model\": " << Quote(model) << ",\n  \"parts\": [";
  const char* separator = "\n";
  for (const Part& part : parts) {
    output << separator << "    {\"name\": " << Quote(part.name)
           << ", \"outcome\": " << Quote(part.outcome)
           << Format(", \"seconds\": %.3f}", part.seconds);
    separator = ",\n";
  }
  output << "\n  ],\n  \"operations\": [";
  separator = "\n";
  for (const Timing& timing : timings) {
    output << separator << "    {\"operation\": " << Quote(timing.operation)
           << Format(", \"rows\": %lld, \"floorSeconds\": %.6g, \"seconds\": %.6g",
                     static_cast<long long>(timing.rows), Floor(timing, ceilings), timing.seconds);
    if (timing.torch > 0) output << Format(", \"torchSeconds\": %.6g", timing.torch);
    output << "}";
    separator = ",\n";
  }
  output << "\n  ]\n}\n";
}

}  // namespace conclave::device_check
