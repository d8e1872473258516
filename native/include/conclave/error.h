#pragma once

#include <stdexcept>
#include <string>

namespace conclave {

// Same names as NativeErrorCode in native.ts.
enum class ErrorCode {
  kClosed,
  kInvalidArgument,
  kCorruptCheckpoint,
  kUnsupported,
  kSlotNotLoaded,
  kNonFinite,
  kOutOfMemory,
  kIo,
  kInternal,
};

// What every native check throws. The binding turns it into a JavaScript exception with the same code.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace conclave
