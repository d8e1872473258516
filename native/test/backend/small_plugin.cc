// A library with a backend, for the tests of what opens them: the reference as its two devices.

#include "conclave/backend/plugin.h"
#include "conclave/base/error.h"
#include "kernels/reference/backend.h"

namespace {

using conclave::DeviceInfo;

std::vector<DeviceInfo> Devices() {
#ifdef CONCLAVE_TEST_NO_DEVICE
  throw conclave::Error(conclave::ErrorCode::kUnsupported, "no device: none was plugged in");
#else
  return {{0, "Small One", 1, 2, 1 << 20, 3, 1 << 14}, {1, "Small Two", 1, 3, 1 << 21, 5, 1 << 15}};
#endif
}

size_t FreeBytes(int device) { return size_t{1} << (18 + device); }

std::unique_ptr<conclave::Backend> Create(int device, int threads) {
  if (device > 1) throw conclave::Error(conclave::ErrorCode::kUnsupported, "no such device");
  return std::make_unique<conclave::ReferenceBackend>(threads);
}

}  // namespace

CONCLAVE_BACKEND_PLUGIN(Devices, FreeBytes, Create)
