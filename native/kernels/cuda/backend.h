#pragma once

#include <memory>
#include <vector>

#include "conclave/backend/plugin.h"

namespace conclave::cuda {

// Those that the kernels run on. Throws kUnsupported where there is none, and says why.
std::vector<DeviceInfo> Devices();

// Takes a context of the device.
size_t FreeBytes(int device);

// The backend of one of them; `threads`: of the host. Throws kUnsupported for an index that
// Devices() does not have.
std::unique_ptr<Backend> CreateBackend(int device, int threads);

}  // namespace conclave::cuda
