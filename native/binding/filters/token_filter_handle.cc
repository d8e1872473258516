#include "binding/filters/token_filter_handle.h"

#include <algorithm>

#include "binding/filters/grammar_handle.h"
#include "binding/handles/runtime_handle.h"

namespace conclave::binding {
namespace {

constexpr int64_t kMaxInt32 = (int64_t{1} << 31) - 1;

Napi::Value WriteMask(Napi::Env env, const std::vector<uint32_t>& mask) {
  if (mask.empty()) return env.Null();
  Napi::Uint32Array array = Napi::Uint32Array::New(env, mask.size());
  std::copy(mask.begin(), mask.end(), array.Data());
  return array;
}

TokenFilterOptions ReadOptions(Napi::Value value) {
  const Fields fields(value, "options");
  TokenFilterOptions options;
  if (fields.Has("grammar"))
    options.grammar = GrammarHandle::From(fields.Get("grammar"), fields.PathOf("grammar")).open();
  options.vocabulary_size = fields.Integer("vocabularySize", 1, kMaxInt32);
  options.end_tokens = fields.Int32s("endTokens");
  options.allowed_tokens = fields.Int32s("allowedTokens");
  options.bad_words = fields.Map("badWords", ReadInt32Array);
  options.min_tokens = fields.Integer("minTokens", 0, kMaxInt32);
  return options;
}

}  // namespace

std::vector<TokenFilterHandle::PropertyDescriptor> TokenFilterHandle::Methods() {
  return {
      InstanceMethod<&TokenFilterHandle::Mask>("mask"),
      InstanceAccessor<&TokenFilterHandle::Complete>("complete"),
      InstanceMethod<&TokenFilterHandle::Close>("close"),
  };
}

Napi::Value TokenFilterHandle::Mask(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return GuardPromise(env, [&] {
    const TokenFilterState& state = open();
    const auto work = [filter = state.filter,
                       outputs = ReadInt32Array(info[0], "outputTokens")](const Call& call) {
      const std::span<const uint32_t> allowed = filter->Allowed(outputs);
      call.Resolve([mask = std::vector<uint32_t>(allowed.begin(), allowed.end())](Napi::Env js) {
        return WriteMask(js, mask);
      });
    };
    return Environment::Of(env).Run({state.runtime, state.runtime->loader(), work});
  });
}

Napi::Value TokenFilterHandle::Complete(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value {
    return Napi::Boolean::New(info.Env(), open().filter->complete());
  });
}

void TokenFilterHandle::Close(const Napi::CallbackInfo&) { TakeState(); }

Napi::Value CreateTokenFilter(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const std::shared_ptr<Runtime> runtime = RuntimeHandle::From(info[0], "runtime").open();
    return TokenFilterHandle::Make(env,
                                   {runtime, std::make_shared<TokenFilter>(ReadOptions(info[1]))});
  });
}

}  // namespace conclave::binding
