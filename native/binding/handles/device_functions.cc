#include "binding/handles/device_functions.h"

#include "binding/convert/read.h"
#include "binding/devices.h"
#include "binding/failure.h"

namespace conclave::binding {

Napi::Value Gpus(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const std::string library = ReadOneOf(info[0], "library", DeviceLibraries());
    const Napi::Array gpus = Napi::Array::New(env);
    for (const DeviceInfo& device : Devices(library)) {
      const Napi::Object gpu = Napi::Object::New(env);
      gpu.Set("id", library + ":" + std::to_string(device.index));
      gpu.Set("name", device.name);
      gpu.Set("computeCapability",
              std::to_string(device.major) + "." + std::to_string(device.minor));
      gpu.Set("totalBytes", static_cast<double>(device.total_bytes));
      gpu.Set("multiprocessors", device.multiprocessors);
      gpu.Set("sharedBytesPerBlock", static_cast<double>(device.shared_bytes_per_block));
      gpus.Set(gpus.Length(), gpu);
    }
    return gpus;
  });
}

Napi::Value GpuFreeBytes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const DeviceName device = ReadDeviceName(ReadString(info[0], "id"));
    if (device.library.empty()) Refuse("id", "a GPU", info[0]);
    return Napi::Number::New(env, static_cast<double>(FreeBytes(device)));
  });
}

}  // namespace conclave::binding
