// Masks against a walk of every token by itself. The grammar is that of balanced brackets with
// words in between: rule 0 is `word? ("[" rule 0 "]" word?)*`.

#include "conclave/grammar/token_filter.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace conclave {
namespace {

const std::vector<std::string> kTexts = {"[",  "]",  "a",  "ab",  "b",    "[]",  "]]",
                                         "]a", "a[", "[[", "]b[", "\xc3", "\xa9"};
constexpr int32_t kEnd = 13;

std::shared_ptr<const Vocabulary> TestVocabulary() {
  std::vector<uint8_t> bytes;
  std::vector<int32_t> offsets = {0};
  std::vector<uint8_t> special;
  for (const std::string& text : kTexts) {
    bytes.insert(bytes.end(), text.begin(), text.end());
    offsets.push_back(static_cast<int32_t>(bytes.size()));
    special.push_back(0);
  }
  offsets.push_back(offsets.back());
  special.push_back(1);
  return std::make_shared<const Vocabulary>(bytes, offsets, special);
}

// State 0: letters stay, "[" leads to 1. State 1: calls rule 0, then 2. State 2: "]" leads to 0.
GrammarTables Brackets() {
  return {{0},
          {0, 2, 3, 4},
          {0, 'a' + 256 * 'b', 0, 0, '[' * 257, 1, 1, 0, 2, 0, ']' * 257, 0},
          {1, 0, 0},
          {0, 0, 0}};
}

bool Balanced(const std::string& text, bool whole) {
  int depth = 0;
  for (const char c : text) {
    if (c != '[' && c != ']' && c != 'a' && c != 'b') return false;
    depth += c == '[' ? 1 : c == ']' ? -1 : 0;
    if (depth < 0) return false;
  }
  return !whole || depth == 0;
}

TEST(TokenFilter, AllowsWhatTheGrammarTakesAfterAnyTokens) {
  const auto grammar = std::make_shared<Grammar>(TestVocabulary(), Brackets());
  std::mt19937 random(1);
  for (int run = 0; run < 50; ++run) {
    TokenFilter filter({.grammar = grammar, .end_tokens = {kEnd}, .vocabulary_size = kEnd + 1});
    std::vector<int32_t> tokens;
    std::string text;
    for (int step = 0; step < 30; ++step) {
      const auto mask = filter.Allowed(tokens);
      std::vector<int32_t> allowed;
      for (int32_t token = 0; token < kEnd; ++token) {
        const std::string& next = kTexts[static_cast<size_t>(token)];
        EXPECT_EQ(TestBit(mask, token), Balanced(text + next, false)) << text << " + " << next;
        if (TestBit(mask, token)) allowed.push_back(token);
      }
      EXPECT_EQ(TestBit(mask, kEnd), Balanced(text, true)) << text;
      EXPECT_EQ(filter.complete(), Balanced(text, true));
      tokens.push_back(allowed[random() % allowed.size()]);
      text += kTexts[static_cast<size_t>(tokens.back())];
    }
  }
}

TEST(TokenFilter, GoesOnAfterAllIsForgotten) {
  const auto grammar = std::make_shared<Grammar>(TestVocabulary(), Brackets());
  TokenFilter filter({.grammar = grammar, .end_tokens = {kEnd}, .vocabulary_size = kEnd + 1});
  filter.Allowed(std::vector<int32_t>{0});
  grammar->Forget();
  const auto mask = filter.Allowed(std::vector<int32_t>{0, 0});
  EXPECT_TRUE(TestBit(mask, 6));
  EXPECT_FALSE(TestBit(mask, kEnd));
}

}  // namespace
}  // namespace conclave
