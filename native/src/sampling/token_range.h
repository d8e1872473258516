#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

namespace conclave {

// Whether all are tokens of a vocabulary of at most 2^31; a loop that compiles to vector code, as
// a history may be as long as the context.
inline bool AllTokensBelow(int64_t vocabulary, std::span<const int32_t> tokens) {
  uint32_t largest = 0;  // a negative token is a large one
  for (const int32_t token : tokens) largest = std::max(largest, static_cast<uint32_t>(token));
  return tokens.empty() || largest < vocabulary;
}

}  // namespace conclave
