#include "binding/handles/runtime_handle.h"

#include <algorithm>

#include "binding/backends.h"
#include "binding/devices.h"
#include "kernels/cpu/machine/hardware.h"
#include "kernels/cpu/matmul/matmul.h"

namespace conclave::binding {
namespace {

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
    : Handle(info),
      threads_(open()->backend()->pool().threads()),
      isa_(open()->backend()->capabilities().name),
      formats_(open()->backend()->capabilities().formats) {}

std::vector<RuntimeHandle::PropertyDescriptor> RuntimeHandle::Methods() {
  return {
      InstanceAccessor<&RuntimeHandle::Threads>("threads"),
      InstanceAccessor<&RuntimeHandle::InstructionSet>("isa"),
      InstanceAccessor<&RuntimeHandle::WeightsFormats>("weightsFormats"),
      InstanceMethod<&RuntimeHandle::Close>("close"),
  };
}

Napi::Value RuntimeHandle::Threads(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), threads_);
}

Napi::Value RuntimeHandle::InstructionSet(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), isa_);
}

Napi::Value RuntimeHandle::WeightsFormats(const Napi::CallbackInfo& info) {
  const Napi::Array names = Napi::Array::New(info.Env());
  for (const NamedFormat& format : kWeightsFormats) {
    if (std::find(formats_.begin(), formats_.end(), format.format) != formats_.end())
      names.Set(names.Length(), format.name);
  }
  return names;
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
      isas.Set(static_cast<uint32_t>(i), IsaName(supported[i]));
    const std::vector<std::string> names = CpuExtensions();
    const Napi::Array extensions = Napi::Array::New(env, names.size());
    for (size_t i = 0; i < names.size(); ++i) extensions.Set(static_cast<uint32_t>(i), names[i]);
    const Napi::Object hardware = Napi::Object::New(env);
    hardware.Set("isa", IsaName(supported.back()));
    hardware.Set("isas", isas);
    hardware.Set("cpus", UsableCpus());
    hardware.Set("extensions", extensions);
    const Napi::Array formats = Napi::Array::New(env);
    for (const NamedFormat& format : kWeightsFormats) formats.Set(formats.Length(), format.name);
    hardware.Set("weightsFormats", formats);
    return hardware;
  });
}

Napi::Value MeasureLimits(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return GuardPromise(env, [&] {
    const std::shared_ptr<Runtime> runtime = RuntimeHandle::From(info[0], "runtime").open();
    const auto work = [backend = runtime->backend()](const Call& call) {
      const MachineLimits limits = conclave::MeasureLimits(backend->pool());
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
    const auto name = options.Get("isa").IsNull()
                          ? std::nullopt
                          : std::optional(options.OneOf("isa", BackendNames()));
    const DeviceName device =
        options.Has("device") ? ReadDeviceName(options.String("device")) : DeviceName();
    if (!device.library.empty() && name)
      Refuse("options.isa", "null for a device that is no CPU", options.Get("isa"));
    const auto runtime =
        std::make_shared<Runtime>(device.library.empty() ? CreateBackend(name, threads)
                                                         : CreateDeviceBackend(device, threads));
    Environment::Of(env).Watch(runtime);
    return RuntimeHandle::Make(env, runtime);
  });
}

}  // namespace conclave::binding
