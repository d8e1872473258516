#include "binding/runtime_handle.h"

#include "kernels/cpu/machine/hardware.h"

namespace conclave::binding {
namespace {

const char* Name(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return "portable";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "portable";
}

Napi::Value WriteLimits(Napi::Env env, const MachineLimits& limits) {
  const Napi::Array arithmetic = Napi::Array::New(env, limits.arithmetic.size());
  for (size_t i = 0; i < limits.arithmetic.size(); ++i) {
    const Napi::Object limit = Napi::Object::New(env);
    limit.Set("name", limits.arithmetic[i].name);
    limit.Set("multiplyAddsPerSecond", limits.arithmetic[i].multiply_adds_per_second);
    arithmetic.Set(static_cast<uint32_t>(i), limit);
  }
  const Napi::Object object = Napi::Object::New(env);
  object.Set("readBytesPerSecond", limits.read_bytes_per_second);
  object.Set("arithmetic", arithmetic);
  return object;
}

}  // namespace

RuntimeHandle::RuntimeHandle(const Napi::CallbackInfo& info)
    : Handle(info), threads_(open()->compute()->pool.threads()), isa_(open()->compute()->isa) {}

std::vector<RuntimeHandle::PropertyDescriptor> RuntimeHandle::Methods() {
  return {
      InstanceAccessor<&RuntimeHandle::Threads>("threads"),
      InstanceAccessor<&RuntimeHandle::InstructionSet>("isa"),
      InstanceMethod<&RuntimeHandle::Close>("close"),
  };
}

Napi::Value RuntimeHandle::Threads(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), threads_);
}

Napi::Value RuntimeHandle::InstructionSet(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), Name(isa_));
}

void RuntimeHandle::Close(const Napi::CallbackInfo&) {
  if (const auto state = TakeState()) (*state)->Close();
}

Napi::Value Hardware(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const std::vector<Isa> supported = SupportedIsas();
    const Napi::Array isas = Napi::Array::New(env, supported.size());
    for (size_t i = 0; i < supported.size(); ++i)
      isas.Set(static_cast<uint32_t>(i), Name(supported[i]));
    const std::vector<std::string> names = CpuExtensions();
    const Napi::Array extensions = Napi::Array::New(env, names.size());
    for (size_t i = 0; i < names.size(); ++i) extensions.Set(static_cast<uint32_t>(i), names[i]);
    const Napi::Object hardware = Napi::Object::New(env);
    hardware.Set("isa", Name(supported.back()));
    hardware.Set("isas", isas);
    hardware.Set("cpus", UsableCpus());
    hardware.Set("extensions", extensions);
    return hardware;
  });
}

Napi::Value MeasureLimits(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return GuardPromise(env, [&] {
    const std::shared_ptr<Runtime> runtime = RuntimeHandle::From(info[0], "runtime").open();
    const auto work = [compute = runtime->compute()](const Call& call) {
      const MachineLimits limits = conclave::MeasureLimits(compute->pool);
      call.Resolve([limits](Napi::Env js) { return WriteLimits(js, limits); });
    };
    return Environment::Of(env).Run({runtime, runtime->executor(), work});
  });
}

Napi::Value CreateRuntime(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const Fields options(info[0], "options");
    const auto threads = static_cast<int>(options.Integer("threads", 1, 1024));
    using Kernels = std::pair<Isa, Bf16Pairs>;
    const auto [isa, pairs] =
        options.Get("isa").IsNull()
            ? Kernels(SupportedIsas().back(), Bf16Pairs::kWhereFast)
            : options.Choice<Kernels>("isa",
                                      {{"portable", {Isa::kPortable, Bf16Pairs::kWhereFast}},
                                       {"portable-bf16", {Isa::kPortable, Bf16Pairs::kAlways}},
                                       {"avx2", {Isa::kAvx2, Bf16Pairs::kWhereFast}},
                                       {"avx512", {Isa::kAvx512, Bf16Pairs::kWhereFast}},
                                       {"avx512-bf16", {Isa::kAvx512, Bf16Pairs::kAlways}}});
    const auto runtime = std::make_shared<Runtime>(threads, isa, pairs);
    Environment::Of(env).Watch(runtime);
    return RuntimeHandle::Make(env, runtime);
  });
}

}  // namespace conclave::binding
