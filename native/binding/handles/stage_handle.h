#pragma once

#include <memory>

#include "binding/handles/handle.h"
#include "conclave/engine/runtime.h"
#include "conclave/engine/stage.h"

namespace conclave::binding {

struct StageState {
  std::shared_ptr<Runtime> runtime;
  std::shared_ptr<Stage> stage;
};

// Stage in native.ts.
class StageHandle : public Handle<StageHandle, StageState> {
 public:
  static constexpr HandleKind kKind = HandleKind::kStage;
  static constexpr const char* kName = "Stage";
  static constexpr napi_type_tag kTag = {0xc41f6ab8d7325e09, 0x86a0f93d12be4705};
  static std::vector<PropertyDescriptor> Methods();

  explicit StageHandle(const Napi::CallbackInfo& info);

 private:
  Napi::Value Begin(const Napi::CallbackInfo& info);
  Napi::Value Resume(const Napi::CallbackInfo& info);
  void Abort(const Napi::CallbackInfo& info);
  void SetRoute(const Napi::CallbackInfo& info);
  Napi::Value TakeExpertRows(const Napi::CallbackInfo& info);
  Napi::Value TakeProfile(const Napi::CallbackInfo& info);
  Napi::Value WeightBytes(const Napi::CallbackInfo& info);
  Napi::Value CacheBytes(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  uint64_t weight_bytes_;
  uint64_t cache_bytes_;
};

Napi::Value CreateStage(const Napi::CallbackInfo& info);

}  // namespace conclave::binding
