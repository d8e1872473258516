#pragma once

// Checks of arguments: what does not hold is an error that names the argument, what was expected,
// and its value.

#include <cstdint>
#include <string>

#include "conclave/base/error.h"

namespace conclave {

[[noreturn]] inline void ThrowUnexpected(const char* name, const std::string& expected,
                                         const std::string& actual) {
  throw Error(ErrorCode::kInvalidArgument,
              std::string(name) + ": expected " + expected + ", got " + actual);
}

inline void Expect(bool holds, const char* name, const char* expected, int64_t actual) {
  if (!holds) [[unlikely]]
    ThrowUnexpected(name, expected, std::to_string(actual));
}

inline void ExpectNumber(bool holds, const char* name, const char* expected, double actual) {
  if (!holds) [[unlikely]]
    ThrowUnexpected(name, expected, std::to_string(actual));
}

// For an element of an array.
inline void ExpectAt(bool holds, const char* name, int64_t index, const char* expected,
                     int64_t actual) {
  if (!holds) [[unlikely]] {
    ThrowUnexpected((std::string(name) + "[" + std::to_string(index) + "]").c_str(), expected,
                    std::to_string(actual));
  }
}

}  // namespace conclave
