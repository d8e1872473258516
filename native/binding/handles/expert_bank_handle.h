#pragma once

#include <memory>

#include "binding/handles/handle.h"
#include "conclave/engine/expert_bank.h"
#include "conclave/engine/runtime.h"

namespace conclave::binding {

struct ExpertBankState {
  std::shared_ptr<Runtime> runtime;
  std::shared_ptr<ExpertBank> bank;
};

// ExpertBank in native.ts.
class ExpertBankHandle : public Handle<ExpertBankHandle, ExpertBankState> {
 public:
  static constexpr HandleKind kKind = HandleKind::kExpertBank;
  static constexpr const char* kName = "ExpertBank";
  static constexpr napi_type_tag kTag = {0x93c1d8f25b3e4a77, 0x9f4e21b86c0d7503};
  static std::vector<PropertyDescriptor> Methods();

  explicit ExpertBankHandle(const Napi::CallbackInfo& info) : Handle(info) {}

 private:
  Napi::Value Load(const Napi::CallbackInfo& info);
  void Unload(const Napi::CallbackInfo& info);
  Napi::Value Has(const Napi::CallbackInfo& info);
  Napi::Value Forward(const Napi::CallbackInfo& info);
  Napi::Value SlotCount(const Napi::CallbackInfo& info);
  Napi::Value Bytes(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
};

Napi::Value CreateExpertBank(const Napi::CallbackInfo& info);

}  // namespace conclave::binding
