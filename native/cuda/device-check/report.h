#pragma once

// What a check of a device found, as a table and as JSON.

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "conclave/backend/plugin.h"

namespace conclave::device_check {

// What the device does at most, measured in the same run.
struct Ceilings {
  double copy_bytes_per_second = 0;  // read and written
  double flops_per_second = 0;       // bf16 products on tensor cores, sums in f32
};

struct Part {
  std::string name;
  std::string outcome;  // "passed", "failed: …", "skipped: …"
  double seconds = 0;
};

// One operation at so many rows.
struct Timing {
  std::string operation;
  int64_t rows = 0;
  double bytes = 0;  // that it must read and write at least
  double flops = 0;
  double seconds = 0;  // of a call
  double torch = 0;    // of the same by torch, in the same run; 0: not measured
};

// Seconds that an operation takes at least; 0 where ceilings were not measured.
double Floor(const Timing& timing, const Ceilings& ceilings);

struct Report {
  DeviceInfo device;
  std::string model;
  Ceilings ceilings;
  std::vector<Part> parts;
  std::vector<Timing> timings;

  bool passed() const;
  void Print(std::ostream& output) const;
  void WriteJson(std::ostream& output) const;
};

}  // namespace conclave::device_check
