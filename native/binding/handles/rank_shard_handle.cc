#include "binding/handles/rank_shard_handle.h"

#include "binding/convert/read_step.h"
#include "binding/convert/write.h"
#include "binding/handles/expert_bank_handle.h"
#include "binding/handles/runtime_handle.h"
#include "binding/handles/weight_store_handle.h"

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
    const auto rows = std::make_shared<const ExpertRows>(ReadExpertRows(info[0], "rows"));
    const auto where = std::make_shared<const SequenceRowsData>(ReadSequenceRows(info[1], "where"));
    const auto work = [=, shard = shard](const Call& call) {
      const auto totals = std::make_shared<EncodedTotals>(shard->Attention(*rows, where->view()));
      call.Resolve([totals](Napi::Env js) { return WriteTotals(js, std::move(*totals)); });
    };
    return Environment::Of(env).Run({runtime, runtime->executor(), work});
  });
}

Napi::Value RankShardHandle::Ffn(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return GuardPromise(env, [&] {
    const auto [runtime, shard] = open();
    const auto rows = std::make_shared<const ExpertRows>(ReadExpertRows(info[0], "rows"));
    const std::shared_ptr<ExpertBank> bank =
        info[1].IsNull() ? nullptr : ExpertBankHandle::From(info[1], "bank").open().bank;
    const auto work = [=, shard = shard](const Call& call) {
      const auto totals = std::make_shared<EncodedTotals>(shard->Ffn(*rows, bank.get()));
      call.Resolve([totals](Napi::Env js) { return WriteTotals(js, std::move(*totals)); });
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
    const auto work = [=, backend = runtime->backend(), stopping = &runtime->loader().stopping(),
                       reports = !progress.IsEmpty()](const Call& call) {
      LoadMonitor::Report report;
      if (reports) report = [&call](auto... progress) { call.Progress(progress...); };
      LoadMonitor monitor(report, {stopping});
      const auto shard = std::make_shared<RankShard>(backend, store, slice, cache, monitor);
      call.Resolve([=](Napi::Env js) -> Napi::Value {
        return RankShardHandle::Make(js, {owner.lock(), shard});
      });
    };
    return Environment::Of(env).Run({runtime, runtime->loader(), work, progress});
  });
}

}  // namespace conclave::binding
