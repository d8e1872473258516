#include "binding/handles/stage_handle.h"

#include "binding/convert/read_step.h"
#include "binding/convert/write.h"
#include "binding/handles/expert_bank_handle.h"
#include "binding/handles/runtime_handle.h"
#include "binding/handles/weight_store_handle.h"

namespace conclave::binding {
namespace {

constexpr int64_t kMaxStep = (int64_t{1} << 53) - 1;

Stage::Deliver DeliverTo(const Call& call) {
  return [&call](StepProgress progress) {
    const auto shared = std::make_shared<StepProgress>(std::move(progress));
    call.Resolve([shared](Napi::Env js) { return WriteStepProgress(js, std::move(*shared)); });
  };
}

}  // namespace

StageHandle::StageHandle(const Napi::CallbackInfo& info)
    : Handle(info),
      weight_bytes_(open().stage->weight_bytes()),
      cache_bytes_(open().stage->cache_bytes()) {
  Account(info.Env(), static_cast<int64_t>(weight_bytes_ + cache_bytes_));
}

std::vector<StageHandle::PropertyDescriptor> StageHandle::Methods() {
  return {
      InstanceMethod<&StageHandle::Begin>("begin"),
      InstanceMethod<&StageHandle::Resume>("resume"),
      InstanceMethod<&StageHandle::Abort>("abort"),
      InstanceMethod<&StageHandle::SetRoute>("setRoute"),
      InstanceMethod<&StageHandle::TakeExpertRows>("takeExpertRows"),
      InstanceMethod<&StageHandle::TakeProfile>("takeProfile"),
      InstanceAccessor<&StageHandle::WeightBytes>("weightBytes"),
      InstanceAccessor<&StageHandle::CacheBytes>("cacheBytes"),
      InstanceMethod<&StageHandle::Close>("close"),
  };
}

Napi::Value StageHandle::Begin(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return GuardPromise(env, [&] {
    const auto [runtime, stage] = open();
    const auto batch = std::make_shared<StepBatch>(
        ReadStepBatch(info[0], "batch", stage->reads_tokens(), stage->has_last_layer()));
    const auto work = [batch, stage = stage, routes = stage->routes(),
                       stopping = &runtime->executor().stopping()](const Call& call) {
      stage->Begin(std::move(*batch), routes, *stopping, DeliverTo(call));
    };
    return Environment::Of(env).Run({runtime, runtime->executor(), work});
  });
}

Napi::Value StageHandle::Resume(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return GuardPromise(env, [&] {
    const auto [runtime, stage] = open();
    const int64_t step = ReadInteger(info[0], "step", 1, kMaxStep);
    const auto partials =
        std::make_shared<const std::vector<PartialSum>>(ReadPartialSums(info[1], "partials"));
    const auto work = [step, partials, stage = stage,
                       stopping = &runtime->executor().stopping()](const Call& call) {
      stage->Resume(step, *partials, *stopping, DeliverTo(call));
    };
    return Environment::Of(env).Run({runtime, runtime->executor(), work});
  });
}

void StageHandle::Abort(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] {
    const auto [runtime, stage] = open();
    const int64_t step = ReadInteger(info[0], "step", 1, kMaxStep);
    runtime->executor().Post([step, stage = stage] { stage->Abort(step); });
  });
}

void StageHandle::SetRoute(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] {
    const auto& stage = open().stage;
    const auto layer = static_cast<int>(ReadInteger(info[0], "layer", INT32_MIN, INT32_MAX));
    stage->SetRoute(layer, ReadExpertRoute(info[1], "route"));
  });
}

Napi::Value StageHandle::TakeExpertRows(const Napi::CallbackInfo& info) {
  return Guard(info.Env(),
               [&] { return WriteExpertRowCounts(info.Env(), open().stage->TakeExpertRows()); });
}

Napi::Value StageHandle::TakeProfile(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value {
    const auto seconds = open().stage->profile().Take();
    const Napi::Object profile = Napi::Object::New(info.Env());
    for (int i = 0; i < kProfileParts; ++i)
      profile.Set(ProfilePartName(static_cast<ProfilePart>(i)), seconds[i]);
    return profile;
  });
}

Napi::Value StageHandle::WeightBytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(weight_bytes_));
}

Napi::Value StageHandle::CacheBytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(cache_bytes_));
}

void StageHandle::Close(const Napi::CallbackInfo& info) {
  if (auto state = TakeState()) {
    state->runtime->Release(std::move(state->stage));
    Account(info.Env(), 0);
  }
}

Napi::Value CreateStage(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return GuardPromise(env, [&] {
    const std::shared_ptr<Runtime> runtime = RuntimeHandle::From(info[0], "runtime").open();
    const std::shared_ptr<const WeightStore> store =
        WeightStoreHandle::From(info[1], "store").open().store;
    const std::shared_ptr<ExpertBank> bank = ExpertBankHandle::From(info[2], "bank").open().bank;
    const StageOptions options = ReadStageOptions(info[3], "options");
    const Napi::Function progress = ReadFunctionOrNull(info[4], "onProgress");
    const std::weak_ptr<Runtime> owner = runtime;
    const auto work = [=, backend = runtime->backend(), stopping = &runtime->loader().stopping(),
                       reports = !progress.IsEmpty()](const Call& call) {
      LoadMonitor::Report report;
      if (reports) report = [&call](auto... progress) { call.Progress(progress...); };
      LoadMonitor monitor(report, {stopping});
      const auto stage = std::make_shared<Stage>(backend, store, bank, options, monitor);
      call.Resolve([=](Napi::Env js) -> Napi::Value {
        return StageHandle::Make(js, {owner.lock(), stage});
      });
    };
    return Environment::Of(env).Run({runtime, runtime->loader(), work, progress});
  });
}

}  // namespace conclave::binding
