#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "conclave/grammar/grammar.h"
#include "conclave/sampling/token_mask.h"

namespace conclave {

// TokenFilterOptions in native.ts.
struct TokenFilterOptions {
  std::shared_ptr<Grammar> grammar;  // may be null
  std::vector<int32_t> end_tokens;
  std::vector<int32_t> allowed_tokens;  // empty: all
  std::vector<std::vector<int32_t>> bad_words;
  int64_t min_tokens = 0;
  int64_t vocabulary_size = 0;
};

// What one sequence may say next. It follows the tokens that it is shown; it may be shown others,
// as when a sequence goes on elsewhere.
class TokenFilter : public TokenMask {
 public:
  // Throws kInvalidArgument.
  explicit TokenFilter(TokenFilterOptions options);
  ~TokenFilter() override;

  std::span<const uint32_t> Allowed(std::span<const int32_t> outputs) override;
  // Whether the text was whole when the mask was last made: where nothing is allowed then, it ends
  // well.
  bool complete() const { return complete_; }

 private:
  struct Position;

  void FillFromGrammar(std::span<const int32_t> outputs);
  void Follow(std::span<const int32_t> outputs);
  void ForbidEnds();
  void ForbidWords(std::span<const int32_t> outputs);

  TokenFilterOptions options_;
  std::vector<uint32_t> mask_;
  std::unique_ptr<Position> position_;
  bool complete_ = false;
};

}  // namespace conclave
