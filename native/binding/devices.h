#pragma once

#include <memory>
#include <string>
#include <vector>

#include "conclave/backend/plugin.h"

namespace conclave::binding {

// What computes: "cpu", or a device of a library beside the addon.
struct DeviceName {
  std::string library;  // "cuda" for conclave_cuda.so; empty for the CPU
  int index = 0;
};

// Every library that may stand beside the addon, as GpuLibrary in native.ts.
std::vector<std::string> DeviceLibraries();

// Of "cpu", "cuda:1", or "cuda" for the first; throws kInvalidArgument.
DeviceName ReadDeviceName(const std::string& text);

// Throws kUnsupported where the library, a driver or a device is missing, and says which.
std::vector<DeviceInfo> Devices(const std::string& library);
size_t FreeBytes(const DeviceName& device);
std::shared_ptr<Backend> CreateDeviceBackend(const DeviceName& device, int threads);

}  // namespace conclave::binding
