#include "binding/filters/vocabulary_handle.h"

#include "binding/handles/runtime_handle.h"

namespace conclave::binding {

std::vector<VocabularyHandle::PropertyDescriptor> VocabularyHandle::Methods() {
  return {InstanceMethod<&VocabularyHandle::Close>("close")};
}

void VocabularyHandle::Close(const Napi::CallbackInfo&) { TakeState(); }

Napi::Value CreateVocabulary(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return GuardPromise(env, [&] {
    const std::shared_ptr<Runtime> runtime = RuntimeHandle::From(info[0], "runtime").open();
    const Fields options(info[1], "options");
    const auto work = [bytes = options.Bytes("bytes"), offsets = options.Int32s("offsets"),
                       special = options.Bytes("special")](const Call& call) {
      const auto vocabulary = std::make_shared<const Vocabulary>(bytes, offsets, special);
      call.Resolve(
          [=](Napi::Env js) -> Napi::Value { return VocabularyHandle::Make(js, vocabulary); });
    };
    return Environment::Of(env).Run({runtime, runtime->loader(), work});
  });
}

}  // namespace conclave::binding
