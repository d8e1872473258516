#include "binding/devices.h"

#include <dlfcn.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "conclave/base/message.h"

namespace conclave::binding {
namespace {

const BackendPlugin& Open(const std::string& library) {
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&DeviceLibraries), &self) == 0)
    Fail(ErrorCode::kInternal, "the addon's own file is not known");
  std::string file = "conclave_" + library + ".so";
  std::replace(file.begin(), file.end(), '-', '_');
  return OpenPlugin(std::filesystem::path(self.dli_fname).replace_filename(file));
}

const BackendPlugin& OpenFor(const DeviceName& device) {
  const BackendPlugin& plugin = Open(device.library);
  const std::vector<DeviceInfo> devices = plugin.devices();
  std::string known;
  for (const DeviceInfo& info : devices) {
    if (info.index == device.index) return plugin;
    known += Message(known.empty() ? "" : ", ", device.library, ":", info.index);
  }
  Fail(ErrorCode::kUnsupported, "no device ", device.library, ":", device.index,
       "; there is: ", known);
}

}  // namespace

std::vector<std::string> DeviceLibraries() { return {"cuda", "cuda-emulated"}; }

DeviceName ReadDeviceName(const std::string& text) {
  if (text == "cpu") return {};
  for (const std::string& library : DeviceLibraries()) {
    if (text == library) return {library};
    if (!text.starts_with(library + ":")) continue;
    DeviceName device{library};
    const char* const end = text.data() + text.size();
    const char* const begin = text.data() + library.size() + 1;
    const auto [rest, error] = std::from_chars(begin, end, device.index);
    if (error == std::errc() && rest == end && device.index >= 0) return device;
  }
  Fail(ErrorCode::kInvalidArgument, "expected cpu, cuda:N or cuda-emulated:N, got \"", text, "\"");
}

std::vector<DeviceInfo> Devices(const std::string& library) { return Open(library).devices(); }

size_t FreeBytes(const DeviceName& device) { return OpenFor(device).free_bytes(device.index); }

std::shared_ptr<Backend> CreateDeviceBackend(const DeviceName& device, int threads) {
  return OpenFor(device).create(device.index, threads);
}

}  // namespace conclave::binding
