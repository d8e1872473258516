#pragma once

// Error messages from parts: Message("layer ", 3, " has no experts").

#include <sstream>
#include <string>

#include "conclave/base/error.h"

namespace conclave {

template <typename... Parts>
std::string Message(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

template <typename... Parts>
[[noreturn]] void Fail(ErrorCode code, const Parts&... parts) {
  throw Error(code, Message(parts...));
}

}  // namespace conclave
