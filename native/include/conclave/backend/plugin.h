#pragma once

// A backend in a library of its own, which is opened where it is there: that of GPUs, whose driver
// few machines have.

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "conclave/backend/backend.h"

namespace conclave {

struct DeviceInfo {
  int index;
  std::string name;
  int major;  // compute capability
  int minor;
  size_t total_bytes;
  int multiprocessors;
  size_t shared_bytes_per_block;
};

// What the library offers.
struct BackendPlugin {
  // Those that the kernels run on. Throws kUnsupported where there is none, and says why.
  std::vector<DeviceInfo> (*devices)();
  // What is free on one of them: that takes a context there, which has hundreds of megabytes
  // itself.
  size_t (*free_bytes)(int device);
  // `threads`: of the host. Throws kUnsupported for an index that devices() does not have.
  std::unique_ptr<Backend> (*create)(int device, int threads);
};

// Objects of C++ cross the boundary: both sides must be made of the same sources by the same
// compiler. This is what they were made of.
const char* PluginAbi();

// Opens a library and checks what it was made of; it stays open. Throws kUnsupported, with what to
// do about it.
const BackendPlugin& OpenPlugin(const std::string& path);

// The entry points of a library, in C.
#define CONCLAVE_BACKEND_PLUGIN(devices, free_bytes, create)                          \
  extern "C" __attribute__((visibility("default"))) const char* ConclavePluginAbi() { \
    return conclave::PluginAbi();                                                     \
  }                                                                                   \
  extern "C" __attribute__((visibility("default"))) const conclave::BackendPlugin*    \
  ConclavePlugin() {                                                                  \
    static constexpr conclave::BackendPlugin plugin = {devices, free_bytes, create};  \
    return &plugin;                                                                   \
  }

}  // namespace conclave
