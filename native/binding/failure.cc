#include "binding/failure.h"

#include <new>
#include <stdexcept>

namespace conclave::binding {
namespace {

const char* CodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kClosed:
      return "CLOSED";
    case ErrorCode::kInvalidArgument:
      return "INVALID_ARGUMENT";
    case ErrorCode::kCorruptCheckpoint:
      return "CORRUPT_CHECKPOINT";
    case ErrorCode::kUnsupported:
      return "UNSUPPORTED";
    case ErrorCode::kSlotNotLoaded:
      return "SLOT_NOT_LOADED";
    case ErrorCode::kNonFinite:
      return "NON_FINITE";
    case ErrorCode::kOutOfMemory:
      return "OUT_OF_MEMORY";
    case ErrorCode::kDeviceLost:
      return "DEVICE_LOST";
    case ErrorCode::kIo:
      return "IO";
    case ErrorCode::kInternal:
      return "INTERNAL";
  }
  return "INTERNAL";
}

}  // namespace

Failure CurrentFailure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code(), error.what(), error.partial()};
  } catch (const std::bad_alloc&) {
    return {ErrorCode::kOutOfMemory, "out of memory"};
  } catch (const std::length_error& error) {
    return {ErrorCode::kOutOfMemory, error.what()};
  } catch (const std::exception& error) {
    return {ErrorCode::kInternal, error.what()};
  } catch (...) {
    return {ErrorCode::kInternal, "unknown exception"};
  }
}

Napi::Error ToJavaScript(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.message);
  error.Value().Set("code", Napi::String::New(env, CodeName(failure.code)));
  if (failure.partial) {
    error.Value().Set("partial", Napi::Number::New(env, static_cast<double>(*failure.partial)));
  }
  return error;
}

}  // namespace conclave::binding
