#pragma once

// Base of the objects that the addon hands out. A handle is made by the addon alone, is recognised
// by its tag, and lets go of what it holds on close().

#include <napi.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "binding/convert/read.h"
#include "binding/environment.h"
#include "binding/failure.h"
#include "conclave/base/error.h"

namespace conclave::binding {

// Self has: kKind, kName, kTag and static Methods(), and State is what an open handle holds.
template <typename Self, typename State>
class Handle : public Napi::ObjectWrap<Self> {
 public:
  explicit Handle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Self>(info) {
    auto* state = static_cast<State*>(Environment::Of(info.Env()).constructing);
    if (state == nullptr) {
      throw ToJavaScript(info.Env(), {ErrorCode::kInvalidArgument,
                                      std::string(Self::kName) + ": made by the addon only"});
    }
    info.This().template As<Napi::Object>().TypeTag(&Self::kTag);
    state_ = std::move(*state);
  }

  ~Handle() override { this->Account(this->Env(), 0); }

  static void Define(Napi::Env env) {
    Environment::Of(env).constructor(Self::kKind) =
        Napi::Persistent(Self::DefineClass(env, Self::kName, Self::Methods()));
  }

  static Napi::Object Make(Napi::Env env, State state) {
    Environment& environment = Environment::Of(env);
    environment.constructing = &state;
    try {
      const Napi::Object object = environment.constructor(Self::kKind).New({});
      environment.constructing = nullptr;
      return object;
    } catch (...) {
      environment.constructing = nullptr;
      throw;
    }
  }

  // The handle that a JavaScript argument is.
  static Self& From(Napi::Value value, const std::string& path) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&Self::kTag))
      Refuse(path, std::string("a ") + Self::kName, value);
    return *Self::Unwrap(value.As<Napi::Object>());
  }

  bool closed() const { return !state_.has_value(); }

  // Throws kClosed after close().
  const State& open() const {
    if (!state_) throw Error(ErrorCode::kClosed, std::string(Self::kName) + " is closed");
    return *state_;
  }

 protected:
  // Tells the garbage collector how many bytes the handle keeps outside of its heap.
  void Account(Napi::Env env, int64_t bytes) {
    if (bytes != accounted_) Napi::MemoryManagement::AdjustExternalMemory(env, bytes - accounted_);
    accounted_ = bytes;
  }

  std::optional<State> TakeState() { return std::exchange(state_, std::nullopt); }

 private:
  std::optional<State> state_;
  int64_t accounted_ = 0;
};

}  // namespace conclave::binding
