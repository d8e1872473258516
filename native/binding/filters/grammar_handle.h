#pragma once

#include <memory>

#include "binding/handles/handle.h"
#include "conclave/grammar/grammar.h"

namespace conclave::binding {

// Grammar in native.ts.
class GrammarHandle : public Handle<GrammarHandle, std::shared_ptr<Grammar>> {
 public:
  static constexpr HandleKind kKind = HandleKind::kGrammar;
  static constexpr const char* kName = "Grammar";
  static constexpr napi_type_tag kTag = {0x8c02f4be91d34a77, 0xb5160e3fd8aa2c49};
  static std::vector<PropertyDescriptor> Methods();

  using Handle::Handle;

 private:
  void Close(const Napi::CallbackInfo& info);
};

Napi::Value CreateGrammar(const Napi::CallbackInfo& info);

}  // namespace conclave::binding
