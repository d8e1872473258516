#pragma once

#include <memory>

#include "binding/handles/handle.h"
#include "conclave/engine/runtime.h"
#include "conclave/grammar/vocabulary.h"

namespace conclave::binding {

// Vocabulary in native.ts.
class VocabularyHandle : public Handle<VocabularyHandle, std::shared_ptr<const Vocabulary>> {
 public:
  static constexpr HandleKind kKind = HandleKind::kVocabulary;
  static constexpr const char* kName = "Vocabulary";
  static constexpr napi_type_tag kTag = {0x1f6be07c55a94d1e, 0xa3c9d7725e08b614};
  static std::vector<PropertyDescriptor> Methods();

  using Handle::Handle;

 private:
  void Close(const Napi::CallbackInfo& info);
};

Napi::Value CreateVocabulary(const Napi::CallbackInfo& info);

}  // namespace conclave::binding
