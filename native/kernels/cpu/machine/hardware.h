#pragma once

#include <string>
#include <vector>

#include "conclave/base/thread_pool.h"

namespace conclave {

// Logical CPUs that this process may use.
int UsableCpus();

// Names of the instruction set extensions that kernels use where they are present.
std::vector<std::string> CpuExtensions();

// MachineLimits in native.ts.
struct MachineLimits {
  struct Arithmetic {
    std::string name;
    double multiply_adds_per_second;
  };

  double read_bytes_per_second;
  std::vector<Arithmetic> arithmetic;
};

// Takes about a second of all threads.
MachineLimits MeasureLimits(ThreadPool& pool);

}  // namespace conclave
