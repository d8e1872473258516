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

// A text of `length` times "a".
GrammarTables Chain(int32_t length) {
  GrammarTables tables{{0}, {0}, {}, {}, std::vector<int32_t>(static_cast<size_t>(length) + 1, 0)};
  for (int32_t state = 0; state <= length; ++state) {
    if (state < length) tables.edges.insert(tables.edges.end(), {0, 'a' * 257, state + 1});
    tables.edge_offsets.push_back(std::min(state + 1, length));
    tables.final.push_back(state == length ? 1 : 0);
  }
  return tables;
}

TEST(TokenFilter, KeepsNoMoreMasksThanThereIsRoomFor) {
  // A mask has 32 KiB.
  constexpr int32_t kTokens = 1 << 18;
  constexpr int32_t kLength = 700;
  constexpr size_t kMiB = size_t{1} << 20;
  std::vector<uint8_t> bytes = {'a'};
  std::vector<int32_t> offsets = {0, 1};
  for (int32_t token = 1; token < kTokens; ++token) {
    for (int32_t rest = token; rest > 0; rest /= 64)
      bytes.push_back(static_cast<uint8_t>('b' + rest % 64));
    offsets.push_back(static_cast<int32_t>(bytes.size()));
  }
  const auto vocabulary =
      std::make_shared<const Vocabulary>(bytes, offsets, std::vector<uint8_t>(kTokens, 0));
  std::vector<std::shared_ptr<Grammar>> grammars;
  const std::vector<int32_t> text(kLength, 0);
  for (int i = 0; i < 12; ++i) {
    grammars.push_back(std::make_shared<Grammar>(vocabulary, Chain(kLength)));
    TokenFilter filter({.grammar = grammars.back(), .vocabulary_size = kTokens});
    for (size_t length = 0; length <= kLength; ++length) {
      const auto mask = filter.Allowed(std::span(text).first(length));
      ASSERT_EQ(TestBit(mask, 0), length < kLength);
      ASSERT_FALSE(TestBit(mask, 1));
      ASSERT_LE(vocabulary->grammar_memory().bytes, std::min((i + 1) * 18 * kMiB, 145 * kMiB));
    }
  }
  grammars.clear();
  EXPECT_EQ(vocabulary->grammar_memory().bytes, 0);
}

}  // namespace
}  // namespace conclave
