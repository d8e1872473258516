#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>

#include "conclave/base/error.h"

namespace conclave::binding {

// An error on its way to JavaScript.
struct Failure {
  ErrorCode code;
  std::string message;
  std::optional<int64_t> partial = std::nullopt;
};

// The exception that is being handled. Only to be called in a catch block.
Failure CurrentFailure();

// An Error with the failure's message, its code as `code`, and `partial` when a partial sum is at
// fault.
Napi::Error ToJavaScript(Napi::Env env, const Failure& failure);

// Runs `body`; what it throws becomes a JavaScript exception.
template <typename Body>
auto Guard(Napi::Env env, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw ToJavaScript(env, CurrentFailure());
  }
}

// Runs `body`, which returns a promise; what it throws becomes a rejected promise.
template <typename Body>
Napi::Value GuardPromise(Napi::Env env, const Body& body) {
  const auto reject = [env](Napi::Value reason) -> Napi::Value {
    const Napi::Promise::Deferred deferred(env);
    deferred.Reject(reason);
    return deferred.Promise();
  };
  try {
    return body();
  } catch (const Napi::Error& error) {
    return reject(error.Value());
  } catch (...) {
    return reject(ToJavaScript(env, CurrentFailure()).Value());
  }
}

}  // namespace conclave::binding
