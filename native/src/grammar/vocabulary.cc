#include "conclave/grammar/vocabulary.h"

#include <algorithm>

#include "conclave/base/expect.h"
#include "strings/string_tokens.h"

namespace conclave {
namespace {

// Longer tokens than any vocabulary has; the tree is as deep.
constexpr int32_t kMaxTokenBytes = 4096;

// Bytes of the UTF-8 character that begins with `lead`; 0 when none does.
int CharacterBytes(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

// Excludes overlong forms, surrogates and what is above U+10FFFF (Unicode, table 3-7).
bool SecondByteFits(uint8_t lead, uint8_t second) {
  if (lead == 0xe0) return second >= 0xa0;
  if (lead == 0xed) return second <= 0x9f;
  if (lead == 0xf0) return second >= 0x90;
  return lead != 0xf4 || second <= 0x8f;
}

// Whole characters of which each may be in a JSON string as it is; -1 when a byte is none of those.
int32_t PlainCharacters(std::span<const uint8_t> bytes) {
  int32_t count = 0;
  for (size_t i = 0; i < bytes.size(); ++count) {
    const uint8_t lead = bytes[i];
    const auto length = static_cast<size_t>(CharacterBytes(lead));
    if (lead < 0x20 || lead == '"' || lead == '\\' || length == 0 || i + length > bytes.size())
      return -1;
    if (length > 1 && !SecondByteFits(lead, bytes[i + 1])) return -1;
    for (size_t j = 1; j < length; ++j) {
      if ((bytes[i + j] & 0xc0) != 0x80) return -1;
    }
    i += length;
  }
  return count;
}

}  // namespace

Vocabulary::Vocabulary(std::span<const uint8_t> bytes, std::span<const int32_t> offsets,
                       std::span<const uint8_t> special, bool strings)
    : bytes_(bytes.begin(), bytes.end()),
      offsets_(offsets.begin(), offsets.end()),
      special_(special.begin(), special.end()) {
  Expect(!special.empty() && special.size() + 1 == offsets.size(), "vocabulary.special",
         "1 or more entries, one less than offsets", static_cast<int64_t>(special.size()));
  Expect(offsets.front() == 0 && static_cast<size_t>(offsets.back()) == bytes.size(),
         "vocabulary.offsets", "to begin with 0 and to end with the number of bytes",
         offsets.back());
  for (size_t i = 1; i < offsets.size(); ++i) {
    const int64_t length = int64_t{offsets[i]} - offsets[i - 1];
    ExpectAt(length >= 0 && length <= kMaxTokenBytes, "vocabulary.offsets", static_cast<int64_t>(i),
             "0 to 4096 more than the one before", length);
  }
  Sort();
  trie_.reserve(sorted_.size() * 2);
  AddNodes(0, static_cast<int32_t>(sorted_.size()), 0);
  if (strings) strings_ = std::make_unique<const StringTokens>(*this);
}

Vocabulary::~Vocabulary() = default;

void Vocabulary::Sort() {
  plain_.assign(words(), 0);
  for (int32_t token = 0; token < size(); ++token) {
    if (special(token) || bytes(token).empty()) continue;
    sorted_.push_back(token);
    const int32_t characters = PlainCharacters(bytes(token));
    if (characters > 0 && characters <= kPlainCharacters) SetBit(plain_, token);
  }
  std::sort(sorted_.begin(), sorted_.end(), [this](int32_t a, int32_t b) {
    return std::ranges::lexicographical_compare(bytes(a), bytes(b));
  });
}

void Vocabulary::AddNodes(int32_t begin, int32_t end, size_t depth) {
  const auto token = [this](int32_t at) { return sorted_[static_cast<size_t>(at)]; };
  for (int32_t at = begin; at < end;) {
    const uint8_t byte = bytes(token(at))[depth];
    int32_t group = at;
    while (group < end && bytes(token(group))[depth] == byte) ++group;
    int32_t longer = at;
    while (longer < group && bytes(token(longer)).size() == depth + 1) ++longer;
    const size_t node = trie_.size();
    trie_.push_back({0, at, longer, group, static_cast<uint16_t>(depth), byte, true});
    AddNodes(longer, group, depth + 1);
    trie_[node].end = static_cast<int32_t>(trie_.size());
    for (int32_t i = at; i < group && trie_[node].plain; ++i)
      trie_[node].plain = TestBit(plain_, token(i));
    at = group;
  }
}

}  // namespace conclave
