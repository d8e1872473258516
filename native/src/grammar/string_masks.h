#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "mask_cache.h"
#include "strings/string_tokens.h"

namespace conclave {

// Masks within JSON strings, put together of what the vocabulary knows of its tokens: those that
// stay within the string, and those that close it where what follows their quote may follow. Few
// texts follow quotes in tokens, and which of them may come is often the same.
class StringMasks {
 public:
  StringMasks(Configurations& configurations, const StringTokens& tokens)
      : configurations_(configurations),
        tokens_(tokens),
        suffixes_(configurations, tokens.suffixes()) {}

  // Valid until the next call.
  const std::vector<uint32_t>& Allowed(const StringState& string, int32_t stack,
                                       const Stacks& stacks);
  size_t bytes() const;

 private:
  const std::vector<uint32_t>& Closing(Spelling spelling, const std::vector<uint32_t>& suffixes);

  Configurations& configurations_;
  const StringTokens& tokens_;
  MaskCache suffixes_;
  // Tokens that close a string, by spelling and mask of suffixes.
  std::map<std::pair<Spelling, std::vector<uint32_t>>, std::vector<uint32_t>> closing_;
  std::vector<uint32_t> mask_;
};

}  // namespace conclave
