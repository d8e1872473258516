#include "string_tokens.h"

#include <algorithm>
#include <map>
#include <string>

namespace conclave {
namespace {

using json_character::kDead;
using json_character::kDone;
using json_character::kStart;

// Where a text within a string stands.
struct Reading {
  int32_t characters = 0;  // whole ones
  int8_t state = kStart;

  bool Take(Spelling spelling, uint8_t byte) {
    state = json_character::Next(spelling, state, byte);
    if (state == kDone) {
      ++characters;
      state = kStart;
    }
    return state != kDead;
  }
  // With one that has begun.
  int32_t all() const { return characters + (state == kStart ? 0 : 1); }
};

constexpr int32_t kRoot = -1;

struct ClosingToken {
  int32_t characters;
  int32_t token;
  std::string suffix;
};

// The tokens that begin with the bytes of the nodes, all of which end with a quote.
std::vector<ClosingToken> ClosingTokens(const Vocabulary& vocabulary,
                                        std::span<const StringTokens::ClosingNode> nodes) {
  std::vector<ClosingToken> tokens;
  for (const auto& [characters, node] : nodes) {
    const TrieNode& quote = vocabulary.trie()[static_cast<size_t>(node)];
    for (int32_t i = quote.tokens_begin; i < quote.subtree_tokens_end; ++i) {
      const int32_t token = vocabulary.sorted()[static_cast<size_t>(i)];
      const auto suffix = vocabulary.bytes(token).subspan(quote.depth + size_t{1});
      tokens.push_back({characters, token, {suffix.begin(), suffix.end()}});
    }
  }
  return tokens;
}

// Texts in their order as tokens.
std::unique_ptr<const Vocabulary> SuffixVocabulary(const std::map<std::string, int32_t>& suffixes) {
  std::vector<uint8_t> bytes;
  std::vector<int32_t> offsets = {0};
  for (const auto& [text, number] : suffixes) {
    bytes.insert(bytes.end(), text.begin(), text.end());
    offsets.push_back(static_cast<int32_t>(bytes.size()));
  }
  // A vocabulary has a token at least.
  if (suffixes.empty()) offsets.push_back(0);
  const std::vector<uint8_t> special(offsets.size() - 1, 0);
  return std::make_unique<const Vocabulary>(bytes, offsets, special, false);
}

}  // namespace

StringTokens::StringTokens(const Vocabulary& vocabulary) : words_(vocabulary.words()) {
  const auto trie = vocabulary.trie();
  // By the text behind the quote: its number, first 0.
  std::map<std::string, int32_t> suffixes;
  std::array<std::vector<ClosingToken>, kSpellings> closing;
  for (const Spelling spelling : {Spelling::kAny, Spelling::kStringify}) {
    Lists& lists = lists_[static_cast<size_t>(spelling)];
    const Below all = Follow(vocabulary, spelling, kRoot);
    lists.inside = Count(all.inside, vocabulary.words());
    closing[static_cast<size_t>(spelling)] = ClosingTokens(vocabulary, all.closing);
    std::vector<Inside> counts;
    for (const auto& [characters, token, suffix] : closing[static_cast<size_t>(spelling)]) {
      counts.push_back({characters, token});
      if (!suffix.empty()) suffixes.try_emplace(suffix, 0);
    }
    lists.closing_counts = Count(counts, vocabulary.words());
    for (int32_t node = 0; node < static_cast<int32_t>(trie.size()); ++node) {
      if (trie[static_cast<size_t>(node)].byte == '"')
        lists.below.emplace(node, Follow(vocabulary, spelling, node));
    }
  }
  int32_t count = 0;
  for (auto& [text, number] : suffixes) number = count++;
  for (size_t spelling = 0; spelling < closing.size(); ++spelling) {
    for (const auto& [characters, token, suffix] : closing[spelling]) {
      const int32_t number = suffix.empty() ? Closing::kNothing : suffixes.at(suffix);
      lists_[spelling].closing.push_back({token, number});
    }
  }
  suffixes_ = SuffixVocabulary(suffixes);
}

StringTokens::Below StringTokens::Follow(const Vocabulary& vocabulary, Spelling spelling,
                                         int32_t node) {
  const auto trie = vocabulary.trie();
  const bool whole = node == kRoot;
  const int32_t end =
      whole ? static_cast<int32_t>(trie.size()) : trie[static_cast<size_t>(node)].end;
  const size_t base = whole ? 0 : trie[static_cast<size_t>(node)].depth + size_t{1};
  Below below;
  std::vector<Reading> way = {{}};
  for (int32_t i = node + 1; i < end;) {
    const TrieNode& at = trie[static_cast<size_t>(i)];
    way.resize(at.depth - base + 1);
    Reading reading = way.back();
    if (at.byte == '"' && reading.state == kStart) {
      below.closing.push_back({reading.characters, i});
      i = at.end;
    } else if (!reading.Take(spelling, at.byte)) {
      i = at.end;
    } else {
      for (int32_t t = at.tokens_begin; t < at.tokens_end; ++t)
        below.inside.push_back({reading.all(), vocabulary.sorted()[static_cast<size_t>(t)]});
      way.push_back(reading);
      ++i;
    }
  }
  return below;
}

StringTokens::Counted StringTokens::Count(const std::vector<Inside>& tokens, size_t words) {
  Counted counted;
  counted.up_to.assign(kMasks + 1, std::vector<uint32_t>(words, 0));
  for (const Inside& one : tokens) {
    if (one.characters > kMasks) {
      counted.longer.push_back(one);
    } else {
      SetBit(counted.up_to[static_cast<size_t>(one.characters)], one.token);
    }
  }
  for (size_t count = 1; count < counted.up_to.size(); ++count) {
    for (size_t i = 0; i < words; ++i) counted.up_to[count][i] |= counted.up_to[count - 1][i];
  }
  return counted;
}

void StringTokens::AddInside(Spelling spelling, int32_t most, std::span<uint32_t> mask) const {
  const Counted& inside = lists_[static_cast<size_t>(spelling)].inside;
  const auto& masks = inside.up_to[static_cast<size_t>(std::min(most, kMasks))];
  for (size_t i = 0; i < mask.size(); ++i) mask[i] |= masks[i];
  if (most <= kMasks) return;
  for (const auto& [characters, token] : inside.longer) {
    if (characters <= most) SetBit(mask, token);
  }
}

void StringTokens::KeepClosing(Spelling spelling, int32_t least, int32_t most,
                               std::span<uint32_t> mask) const {
  const Counted& counts = lists_[static_cast<size_t>(spelling)].closing_counts;
  if (most < kMasks) {
    const auto& fewer = counts.up_to[static_cast<size_t>(most)];
    for (size_t i = 0; i < mask.size(); ++i) mask[i] &= fewer[i];
  }
  if (least > 0) {
    const auto& fewer = counts.up_to[static_cast<size_t>(std::min(least - 1, kMasks))];
    for (size_t i = 0; i < mask.size(); ++i) mask[i] &= ~fewer[i];
  }
  for (const auto& [characters, token] : counts.longer) {
    if (characters < least || characters > most) ClearBit(mask, token);
  }
}

}  // namespace conclave
