#pragma once

#include <memory>

#include "binding/handles/handle.h"
#include "conclave/engine/runtime.h"
#include "conclave/weights/weight_store.h"

namespace conclave::binding {

struct WeightStoreState {
  std::shared_ptr<Runtime> runtime;
  std::shared_ptr<const WeightStore> store;
};

// WeightStore in native.ts.
class WeightStoreHandle : public Handle<WeightStoreHandle, WeightStoreState> {
 public:
  static constexpr HandleKind kKind = HandleKind::kWeightStore;
  static constexpr const char* kName = "WeightStore";
  static constexpr napi_type_tag kTag = {0x5d0b9a4e7f1c4c22, 0x8be2c4d07a6f1302};
  static std::vector<PropertyDescriptor> Methods();

  explicit WeightStoreHandle(const Napi::CallbackInfo& info)
      : Handle(info), format_(open().store->format()) {}

 private:
  Napi::Value Weights(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  WeightsFormat format_;
};

Napi::Value OpenWeights(const Napi::CallbackInfo& info);
Napi::Value CacheBytes(const Napi::CallbackInfo& info);

}  // namespace conclave::binding
