#pragma once

// Why a machine, or a device, cannot run the kernels. Knows nothing of CUDA itself.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "conclave/backend/plugin.h"

namespace conclave::cuda {

// What a driver that is missing or too old gives; versions as CUDA numbers them, such as 13000.
std::string DriverProblem(int driver, int needed);

// Why the kernels do not run on a device; nullopt: they do. `architectures`: what they are compiled
// for, such as "80,90a,100a". Code of 80 runs on what is later within its major version, that of
// 90a on 9.0 alone.
std::optional<std::string> DeviceProblem(const DeviceInfo& device, std::string_view architectures);

}  // namespace conclave::cuda
