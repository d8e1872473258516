#pragma once

#include <napi.h>

namespace conclave::binding {

// Of Native in native.ts.
Napi::Value Gpus(const Napi::CallbackInfo& info);
Napi::Value GpuFreeBytes(const Napi::CallbackInfo& info);

}  // namespace conclave::binding
