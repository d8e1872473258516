#pragma once

#include <memory>
#include <string>
#include <vector>

#include "binding/handles/handle.h"
#include "conclave/engine/runtime.h"

namespace conclave::binding {

// Runtime in native.ts.
class RuntimeHandle : public Handle<RuntimeHandle, std::shared_ptr<Runtime>> {
 public:
  static constexpr HandleKind kKind = HandleKind::kRuntime;
  static constexpr const char* kName = "Runtime";
  static constexpr napi_type_tag kTag = {0x0f3f7a0c2c6b4d51, 0xa10e5b6d3f8c9e01};
  static std::vector<PropertyDescriptor> Methods();

  explicit RuntimeHandle(const Napi::CallbackInfo& info);

 private:
  Napi::Value Threads(const Napi::CallbackInfo& info);
  Napi::Value InstructionSet(const Napi::CallbackInfo& info);
  Napi::Value WeightsFormats(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  int threads_;
  std::string isa_;
  std::vector<WeightsFormat> formats_;
};

Napi::Value Hardware(const Napi::CallbackInfo& info);
Napi::Value MeasureLimits(const Napi::CallbackInfo& info);
Napi::Value CreateRuntime(const Napi::CallbackInfo& info);

}  // namespace conclave::binding
