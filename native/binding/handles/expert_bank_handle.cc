#include "binding/handles/expert_bank_handle.h"

#include "binding/convert/read_step.h"
#include "binding/convert/write.h"
#include "binding/handles/runtime_handle.h"
#include "binding/handles/weight_store_handle.h"

namespace conclave::binding {

std::vector<ExpertBankHandle::PropertyDescriptor> ExpertBankHandle::Methods() {
  return {
      InstanceMethod<&ExpertBankHandle::Load>("load"),
      InstanceMethod<&ExpertBankHandle::Unload>("unload"),
      InstanceMethod<&ExpertBankHandle::Has>("has"),
      InstanceMethod<&ExpertBankHandle::Forward>("forward"),
      InstanceAccessor<&ExpertBankHandle::SlotCount>("slotCount"),
      InstanceAccessor<&ExpertBankHandle::Bytes>("bytes"),
      InstanceMethod<&ExpertBankHandle::Close>("close"),
  };
}

Napi::Value ExpertBankHandle::Load(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return GuardPromise(env, [&] {
    const auto [runtime, bank] = open();
    const std::vector<ExpertSlot> slots = ReadExpertSlots(info[0], "slots");
    const Napi::Function progress = ReadFunctionOrNull(info[1], "onProgress");
    bank->Check(slots);
    const std::atomic<bool>* stopping = &runtime->loader().stopping();
    const bool reports = !progress.IsEmpty();
    const auto work = [=, bank = bank](const Call& call) {
      LoadMonitor::Report report;
      if (reports) report = [&call](auto... progress) { call.Progress(progress...); };
      LoadMonitor monitor(report, {stopping, &bank->closed()});
      const auto loaded = std::make_shared<std::vector<LoadedSlot>>(bank->Load(slots, monitor));
      call.Resolve([loaded](Napi::Env js) { return WriteLoadedSlots(js, *loaded); });
    };
    const auto self =
        std::make_shared<Napi::ObjectReference>(Napi::Persistent(info.This().As<Napi::Object>()));
    const auto account = [this, self, env] {
      if (!closed()) Account(env, static_cast<int64_t>(open().bank->bytes()));
    };
    return Environment::Of(env).Run({runtime, runtime->loader(), work, progress, account});
  });
}

void ExpertBankHandle::Unload(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] {
    const auto& [runtime, bank] = open();
    bank->Unload(ReadExpertSlots(info[0], "slots"));
    Account(info.Env(), static_cast<int64_t>(bank->bytes()));
  });
}

Napi::Value ExpertBankHandle::Has(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value {
    return Napi::Boolean::New(info.Env(), open().bank->Has(ReadExpertSlot(info[0], "slot")));
  });
}

Napi::Value ExpertBankHandle::Forward(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return GuardPromise(env, [&] {
    const auto [runtime, bank] = open();
    const auto rows = std::make_shared<const ExpertRows>(ReadExpertRows(info[0], "rows"));
    const auto work = [=, bank = bank](const Call& call) {
      const auto totals = std::make_shared<EncodedTotals>(bank->Forward(*rows));
      call.Resolve([totals](Napi::Env js) { return WriteTotals(js, std::move(*totals)); });
    };
    return Environment::Of(env).Run({runtime, runtime->executor(), work});
  });
}

Napi::Value ExpertBankHandle::SlotCount(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(),
                           closed() ? 0 : static_cast<double>(open().bank->slot_count()));
}

Napi::Value ExpertBankHandle::Bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), closed() ? 0 : static_cast<double>(open().bank->bytes()));
}

void ExpertBankHandle::Close(const Napi::CallbackInfo& info) {
  if (auto state = TakeState()) {
    state->bank->Close();
    state->runtime->Release(std::move(state->bank));
    Account(info.Env(), 0);
  }
}

Napi::Value CreateExpertBank(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const std::shared_ptr<Runtime> runtime = RuntimeHandle::From(info[0], "runtime").open();
    const std::shared_ptr<const WeightStore> store =
        WeightStoreHandle::From(info[1], "store").open().store;
    return ExpertBankHandle::Make(
        env, {runtime, std::make_shared<ExpertBank>(runtime->backend(), store)});
  });
}

}  // namespace conclave::binding
