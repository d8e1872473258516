#pragma once

#include <cstdint>
#include <span>

namespace conclave {

// Which tokens a sequence may have next.
class TokenMask {
 public:
  virtual ~TokenMask() = default;
  // One bit for each token of the vocabulary, of the least in the lowest bit of the first word;
  // empty: all tokens. `outputs` are the tokens that the sequence has had. Valid until the next
  // call; calls for one sequence do not overlap.
  virtual std::span<const uint32_t> Allowed(std::span<const int32_t> outputs) = 0;
};

}  // namespace conclave
