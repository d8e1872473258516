#include "binding/handles/weight_store_handle.h"

#include <algorithm>
#include <iterator>

#include "binding/convert/read_spec.h"
#include "binding/convert/read_step.h"
#include "binding/handles/runtime_handle.h"
#include "conclave/engine/layer_slice.h"

namespace conclave::binding {

std::vector<WeightStoreHandle::PropertyDescriptor> WeightStoreHandle::Methods() {
  return {
      InstanceAccessor<&WeightStoreHandle::Weights>("weights"),
      InstanceMethod<&WeightStoreHandle::Close>("close"),
  };
}

Napi::Value WeightStoreHandle::Weights(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), NameOf(format_));
}

void WeightStoreHandle::Close(const Napi::CallbackInfo&) {
  if (auto state = TakeState()) state->runtime->Release(std::move(state->store));
}

namespace {

WeightsFormat ReadWeightsFormat(Napi::Value value, const std::string& path) {
  std::vector<std::string> names;
  for (const NamedFormat& format : kWeightsFormats) names.emplace_back(format.name);
  const std::string name = ReadOneOf(value, path, names);
  return std::find_if(std::begin(kWeightsFormats), std::end(kWeightsFormats),
                      [&](const NamedFormat& format) { return name == format.name; })
      ->format;
}

}  // namespace

Napi::Value OpenWeights(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return GuardPromise(env, [&] {
    const std::shared_ptr<Runtime> runtime = RuntimeHandle::From(info[0], "runtime").open();
    const Fields options(info[1], "options");
    const std::string directory = options.String("directory");
    const WeightsFormat format = ReadWeightsFormat(options.Get("weights"), "options.weights");
    const auto spec =
        std::make_shared<ModelSpec>(ReadModelSpec(options.Get("spec"), "options.spec"));
    // A weak reference: threads of the runtime must not be the ones that end it.
    const std::weak_ptr<Runtime> owner = runtime;
    const auto work = [=](const Call& call) {
      const auto store = std::make_shared<const WeightStore>(directory, std::move(*spec), format);
      call.Resolve([=](Napi::Env js) -> Napi::Value {
        return WeightStoreHandle::Make(js, {owner.lock(), store});
      });
    };
    return Environment::Of(env).Run({runtime, runtime->loader(), work});
  });
}

Napi::Value CacheBytes(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value {
    const auto [runtime, store] = WeightStoreHandle::From(info[0], "store").open();
    const uint64_t bytes =
        conclave::CacheBytes(*runtime->backend(), *store, ReadRankSlice(info[1], "options"),
                             ReadCacheOptions(info[1], "options"));
    return Napi::Number::New(info.Env(), static_cast<double>(bytes));
  });
}

}  // namespace conclave::binding
