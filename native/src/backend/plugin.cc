#include "conclave/backend/plugin.h"

#include <dlfcn.h>

#include <filesystem>

#include "conclave/base/error.h"

namespace conclave {
namespace {

[[noreturn]] void Fail(const std::string& path, const std::string& what) {
  throw Error(ErrorCode::kUnsupported, path + " " + what);
}

template <typename Function>
Function Find(void* library, const char* symbol, const std::string& path) {
  void* const found = dlsym(library, symbol);
  if (found == nullptr)
    Fail(path, std::string("is no backend of conclave: it has no symbol ") + symbol);
  return reinterpret_cast<Function>(found);
}

}  // namespace

const char* PluginAbi() { return CONCLAVE_PLUGIN_ABI " " __VERSION__; }

const BackendPlugin& OpenPlugin(const std::string& path) {
  if (!std::filesystem::exists(path)) Fail(path, "is not built");
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) Fail(path, std::string("cannot be opened: ") + dlerror());
  const std::string abi = Find<const char* (*)()>(library, "ConclavePluginAbi", path)();
  if (abi != PluginAbi()) {
    Fail(path, std::string("is not of this build: expected ") + PluginAbi() + ", got " + abi +
                   "; build it again");
  }
  return *Find<const BackendPlugin* (*)()>(library, "ConclavePlugin", path)();
}

}  // namespace conclave
