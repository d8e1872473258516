#pragma once

#include <string>
#include <vector>

namespace conclave {

// Logical CPUs that this process may use.
int UsableCpus();

// Names of the instruction set extensions that kernels use where they are present.
std::vector<std::string> CpuExtensions();

}  // namespace conclave
