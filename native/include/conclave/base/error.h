#pragma once

#include <cstdint>
#include <optional>
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
  kDeviceLost,  // the device computes no more in this process
  kIo,
  kInternal,
};

// What every native check throws. The binding turns it into a JavaScript exception with the same
// code.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Error(ErrorCode code, const std::string& message, int64_t partial)
      : std::runtime_error(message), code_(code), partial_(partial) {}
  ErrorCode code() const { return code_; }
  // Index of the partial sum that is at fault; absent when none is.
  std::optional<int64_t> partial() const { return partial_; }

 private:
  ErrorCode code_;
  std::optional<int64_t> partial_;
};

}  // namespace conclave
