#pragma once

#include <memory>

#include "binding/handles/handle.h"
#include "conclave/engine/runtime.h"
#include "conclave/grammar/token_filter.h"

namespace conclave::binding {

struct TokenFilterState {
  std::shared_ptr<Runtime> runtime;
  std::shared_ptr<TokenFilter> filter;
};

// TokenFilter in native.ts.
class TokenFilterHandle : public Handle<TokenFilterHandle, TokenFilterState> {
 public:
  static constexpr HandleKind kKind = HandleKind::kTokenFilter;
  static constexpr const char* kName = "TokenFilter";
  static constexpr napi_type_tag kTag = {0x32d90af6718e4cc5, 0x9b7704a1e6c35d20};
  static std::vector<PropertyDescriptor> Methods();

  using Handle::Handle;

 private:
  Napi::Value Mask(const Napi::CallbackInfo& info);
  Napi::Value Complete(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
};

Napi::Value CreateTokenFilter(const Napi::CallbackInfo& info);

}  // namespace conclave::binding
