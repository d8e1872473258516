#include "binding/rank_shard_handle.h"

#include "binding/read_step.h"
#include "binding/runtime_handle.h"
#include "binding/weight_store_handle.h"
#include "binding/write.h"

namespace conclave::binding {

std::vector<RankShardHandle::PropertyDescriptor> RankShardHandle::Methods() {
  return {
      InstanceMethod<&RankShardHandle::Attention>("attention"),
      InstanceMethod<&RankShardHandle::Ffn>("ffn"),
      InstanceAccessor<&RankShardHandle::Bytes>("bytes"),
      InstanceMethod<&RankShardHandle::Close>("close"),
  };
}

Napi::Value RankShardHandle::Attention(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return GuardPromise(env, [&] {
    const auto [runtime, shard] = open();
    const auto layer = static_cast<int>(ReadInteger(info[0], "layer", INT32_MIN, INT32_MAX));
    const ActivationType type = ReadActivationType(info[1], "type");
    const auto rows = std::make_shared<const std::vector<uint8_t>>(ReadUint8Array(info[2], "rows"));
    const auto where = std::make_shared<const SequenceRowsData>(ReadSequenceRows(info[3], "where"));
    const ActivationType partial_type = ReadActivationType(info[4], "partialType");
    const auto work = [=, shard = shard](const Call& call) {
      const auto partial = std::make_shared<std::vector<uint8_t>>(
          shard->Attention(layer, type, *rows, where->view(), partial_type));
      call.Resolve([partial](Napi::Env js) { return WriteBytes(js, std::move(*partial)); });
    };
    return Environment::Of(env).Run({runtime, runtime->executor(), work});
  });
}

Napi::Value RankShardHandle::Ffn(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return GuardPromise(env, [&] {
    const auto [runtime, shard] = open();
    const auto layer = static_cast<int>(ReadInteger(info[0], "layer", INT32_MIN, INT32_MAX));
    const ActivationType type = ReadActivationType(info[1], "type");
    const auto rows = std::make_shared<const std::vector<uint8_t>>(ReadUint8Array(info[2], "rows"));
    const ActivationType partial_type = ReadActivationType(info[3], "partialType");
    const auto work = [=, shard = shard](const Call& call) {
      const auto partial =
          std::make_shared<std::vector<uint8_t>>(shard->Ffn(layer, type, *rows, partial_type));
      call.Resolve([partial](Napi::Env js) { return WriteBytes(js, std::move(*partial)); });
    };
    return Environment::Of(env).Run({runtime, runtime->executor(), work});
  });
}

Napi::Value RankShardHandle::Bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), closed() ? 0 : static_cast<double>(open().shard->bytes()));
}

void RankShardHandle::Close(const Napi::CallbackInfo& info) {
  if (auto state = TakeState()) {
    state->runtime->Release(std::move(state->shard));
    Account(info.Env(), 0);
  }
}

Napi::Value CreateRankShard(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return GuardPromise(env, [&] {
    const std::shared_ptr<Runtime> runtime = RuntimeHandle::From(info[0], "runtime").open();
    const std::shared_ptr<const WeightStore> store =
        WeightStoreHandle::From(info[1], "store").open().store;
    const RankSlice slice = ReadRankSlice(info[2], "options");
    const CacheOptions cache = ReadCacheOptions(info[2], "options");
    const Napi::Function progress = ReadFunctionOrNull(info[3], "onProgress");
    const std::weak_ptr<Runtime> owner = runtime;
    const auto work = [=, compute = runtime->compute(), stopping = &runtime->loader().stopping(),
                       reports = !progress.IsEmpty()](const Call& call) {
      LoadMonitor::Report report;
      if (reports) report = [&call](uint64_t done, uint64_t total) { call.Progress(done, total); };
      LoadMonitor monitor(report, {stopping});
      const auto shard = std::make_shared<RankShard>(compute, store, slice, cache, monitor);
      call.Resolve([=](Napi::Env js) -> Napi::Value {
        return RankShardHandle::Make(js, {owner.lock(), shard});
      });
    };
    return Environment::Of(env).Run({runtime, runtime->loader(), work, progress});
  });
}

}  // namespace conclave::binding
