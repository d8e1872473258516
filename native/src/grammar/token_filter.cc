#include "conclave/grammar/token_filter.h"

#include <algorithm>
#include <utility>

#include "conclave/base/expect.h"
#include "cursor.h"
#include "mask_cache.h"

namespace conclave {
namespace {

void CheckTokens(const char* name, std::span<const int32_t> tokens, int64_t vocabulary) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    ExpectAt(tokens[i] >= 0 && tokens[i] < vocabulary, name, static_cast<int64_t>(i),
             "a token of the vocabulary", tokens[i]);
  }
}

bool Any(std::span<const uint32_t> mask) {
  return std::any_of(mask.begin(), mask.end(), [](uint32_t word) { return word != 0; });
}

}  // namespace

// Where the grammar stands after `tokens`.
struct TokenFilter::Position {
  std::vector<int32_t> tokens;
  Stacks stacks;
  Cursor cursor;
  uint64_t generation = 0;

  // Drops what the stack has left behind.
  void Compact() {
    if (stacks.size() < 4096) return;
    const std::vector<int32_t> frames = FramesOf(cursor.stack, stacks);
    stacks = {};
    cursor.stack = Stacks::kBottom;
    for (const int32_t frame : frames) cursor.stack = stacks.Push(frame, cursor.stack);
  }
};

TokenFilter::TokenFilter(TokenFilterOptions options) : options_(std::move(options)) {
  const int64_t size = options_.vocabulary_size;
  Expect(size > 0, "vocabularySize", "1 or more", size);
  CheckTokens("endTokens", options_.end_tokens, size);
  CheckTokens("allowedTokens", options_.allowed_tokens, size);
  for (const std::vector<int32_t>& word : options_.bad_words) {
    Expect(!word.empty(), "badWords", "words of 1 or more tokens", 0);
    CheckTokens("badWords", word, size);
  }
  if (options_.grammar == nullptr) return;
  const int64_t tokens = options_.grammar->vocabulary().size();
  Expect(tokens == size, "vocabularySize", "that of the grammar's vocabulary", size);
  position_ = std::make_unique<Position>();
}

TokenFilter::~TokenFilter() = default;

std::span<const uint32_t> TokenFilter::Allowed(std::span<const int32_t> outputs) {
  const bool short_of = std::cmp_less(outputs.size(), options_.min_tokens);
  const bool restricts = options_.grammar != nullptr || !options_.allowed_tokens.empty() ||
                         !options_.bad_words.empty() || short_of;
  if (!restricts) return {};
  if (options_.grammar != nullptr) {
    FillFromGrammar(outputs);
  } else {
    mask_.assign(static_cast<size_t>((options_.vocabulary_size + 31) / 32), ~uint32_t{0});
    if (const auto rest = options_.vocabulary_size % 32; rest != 0)
      mask_.back() = (uint32_t{1} << rest) - 1;
  }
  if (!options_.allowed_tokens.empty()) {
    std::vector<uint32_t> allowed(mask_.size(), 0);
    for (const int32_t token : options_.allowed_tokens) SetBit(allowed, token);
    for (size_t i = 0; i < mask_.size(); ++i) mask_[i] &= allowed[i];
  }
  ForbidWords(outputs);
  if (short_of) ForbidEnds();
  return mask_;
}

void TokenFilter::FillFromGrammar(std::span<const int32_t> outputs) {
  Grammar& grammar = *options_.grammar;
  const std::scoped_lock lock(grammar.mutex);
  for (int attempt = 0;; ++attempt) {
    try {
      Follow(outputs);
      complete_ = false;
      if (position_->cursor.dead()) {
        mask_.assign(grammar.vocabulary().words(), 0);
        return;
      }
      mask_ = grammar.masks().Allowed(position_->cursor, position_->stacks);
      complete_ = MayEnd(grammar.configurations(), position_->cursor, position_->stacks);
      if (complete_) {
        for (const int32_t token : options_.end_tokens) SetBit(mask_, token);
      }
      grammar.BoundMemory();
      return;
    } catch (const TooManyConfigurations&) {
      grammar.Forget();
      if (attempt == 0) continue;
      position_->cursor = {};
      position_->generation = grammar.generation();
      position_->tokens.assign(outputs.begin(), outputs.end());
    }
  }
}

void TokenFilter::Follow(std::span<const int32_t> outputs) {
  Grammar& grammar = *options_.grammar;
  Configurations& configurations = grammar.configurations();
  Position& at = *position_;
  const bool continues = at.generation == grammar.generation() &&
                         at.tokens.size() <= outputs.size() &&
                         std::equal(at.tokens.begin(), at.tokens.end(), outputs.begin());
  if (!continues) {
    at.tokens.clear();
    at.stacks = {};
    at.cursor = {configurations.start(), Stacks::kBottom};
    at.generation = grammar.generation();
  }
  for (size_t i = at.tokens.size(); i < outputs.size(); ++i) {
    const int32_t token = outputs[i];
    Expect(token >= 0 && token < options_.vocabulary_size, "outputTokens",
           "tokens of the vocabulary", token);
    Cursor cursor = at.cursor;
    if (!cursor.dead() && grammar.vocabulary().special(token)) {
      cursor = AfterToken(configurations, cursor, token, at.stacks);
    } else {
      for (const uint8_t byte : grammar.vocabulary().bytes(token)) {
        if (!cursor.dead()) cursor = AfterByte(configurations, cursor, byte, at.stacks);
      }
    }
    at.cursor = cursor;
    at.tokens.push_back(token);
  }
  at.Compact();
}

// A text that is whole and may have nothing more ends, however short it is.
void TokenFilter::ForbidEnds() {
  std::vector<uint32_t> without = mask_;
  for (const int32_t token : options_.end_tokens) ClearBit(without, token);
  if (Any(without)) mask_ = std::move(without);
}

void TokenFilter::ForbidWords(std::span<const int32_t> outputs) {
  for (const std::vector<int32_t>& word : options_.bad_words) {
    const size_t before = word.size() - 1;
    if (outputs.size() < before) continue;
    if (std::equal(word.begin(), word.end() - 1, outputs.end() - static_cast<int64_t>(before)))
      ClearBit(mask_, word.back());
  }
}

}  // namespace conclave
