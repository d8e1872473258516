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
  return {{0, "Small One", 1, 2, 1 << 20, 1 << 19, 3, 1 << 14},
          {1, "Small Two", 1, 3, 1 << 21, 1 << 20, 5, 1 << 15}};
#endif
}

std::unique_ptr<conclave::Backend> Create(int device, int threads) {
  if (device > 1) throw conclave::Error(conclave::ErrorCode::kUnsupported, "no such device");
  return std::make_unique<conclave::ReferenceBackend>(threads);
}

}  // namespace

CONCLAVE_BACKEND_PLUGIN(Devices, Create)
