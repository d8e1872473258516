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
  const size_t colon = std::min(text.find(':'), text.size());
  const std::string_view digits = std::string_view(text).substr(std::min(colon + 1, text.size()));
  DeviceName device{text.substr(0, colon)};
  const char* const end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, device.index);
  const std::vector<std::string> libraries = DeviceLibraries();
  const bool known =
      std::find(libraries.begin(), libraries.end(), device.library) != libraries.end();
  if (!known || error != std::errc() || rest != end || device.index < 0) {
    Fail(ErrorCode::kInvalidArgument, "expected cpu, cuda:N or cuda-emulated:N, got \"", text,
         "\"");
  }
  return device;
}

std::vector<DeviceInfo> Devices(const std::string& library) { return Open(library).devices(); }

size_t FreeBytes(const DeviceName& device) { return OpenFor(device).free_bytes(device.index); }

std::shared_ptr<Backend> CreateDeviceBackend(const DeviceName& device, int threads) {
  return OpenFor(device).create(device.index, threads);
}

}  // namespace conclave::binding
