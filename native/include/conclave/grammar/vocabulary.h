#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace conclave {

class StringTokens;

// A node of the tree of all tokens' bytes, in preorder: children follow their parent.
struct TrieNode {
  int32_t end;           // first node behind the subtree
  int32_t tokens_begin;  // tokens that end here, in Vocabulary::sorted()
  int32_t tokens_end;
  int32_t subtree_tokens_end;  // those that end here or below follow one another
  uint16_t depth;              // 0: first byte of a token
  uint8_t byte;
  bool plain;  // all tokens of the subtree are in plain_tokens()
};

// What all grammars over a vocabulary remember.
struct GrammarMemory {
  std::atomic<size_t> bytes = 0;
  std::atomic<size_t> grammars = 0;
};

// The bytes that each token stands for.
class Vocabulary {
 public:
  // Most characters of a token in plain_tokens().
  static constexpr int32_t kPlainCharacters = 32;

  // Token i is bytes [offsets[i], offsets[i + 1]). Special tokens are no text, whatever their
  // bytes. `strings`: whether strings() is wanted. Throws kInvalidArgument.
  Vocabulary(std::span<const uint8_t> bytes, std::span<const int32_t> offsets,
             std::span<const uint8_t> special, bool strings = true);
  ~Vocabulary();

  int64_t size() const { return static_cast<int64_t>(special_.size()); }
  // Words of a mask with a bit for each token.
  size_t words() const { return (special_.size() + 31) / 32; }
  std::span<const uint8_t> bytes(int32_t token) const {
    const auto at = static_cast<size_t>(token);
    return std::span(bytes_).subspan(static_cast<size_t>(offsets_[at]),
                                     static_cast<size_t>(offsets_[at + 1] - offsets_[at]));
  }
  bool special(int32_t token) const { return special_[static_cast<size_t>(token)] != 0; }
  std::span<const TrieNode> trie() const { return trie_; }
  // Tokens in order of their bytes, without special and empty ones.
  std::span<const int32_t> sorted() const { return sorted_; }
  // Mask of the tokens of 1 to kPlainCharacters whole characters other than `"`, `\` and controls.
  std::span<const uint32_t> plain_tokens() const { return plain_; }
  // What tokens do within JSON strings; may be null.
  const StringTokens* strings() const { return strings_.get(); }
  GrammarMemory& grammar_memory() const { return grammar_memory_; }

 private:
  void Sort();
  // Adds the nodes of sorted tokens [begin, end), which share their first `depth` bytes.
  void AddNodes(int32_t begin, int32_t end, size_t depth);

  std::vector<uint8_t> bytes_;
  std::vector<int32_t> offsets_;
  std::vector<uint8_t> special_;
  std::vector<int32_t> sorted_;
  std::vector<TrieNode> trie_;
  std::vector<uint32_t> plain_;
  std::unique_ptr<const StringTokens> strings_;
  mutable GrammarMemory grammar_memory_;
};

inline void SetBit(std::span<uint32_t> mask, int32_t token) {
  mask[static_cast<size_t>(token) / 32] |= uint32_t{1} << (token % 32);
}

inline void ClearBit(std::span<uint32_t> mask, int32_t token) {
  mask[static_cast<size_t>(token) / 32] &= ~(uint32_t{1} << (token % 32));
}

inline bool TestBit(std::span<const uint32_t> mask, int32_t token) {
  return (mask[static_cast<size_t>(token) / 32] >> (token % 32) & 1) != 0;
}

}  // namespace conclave
