#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "conclave/grammar/vocabulary.h"
#include "json_character.h"

namespace conclave {

// What the tokens of a vocabulary do within JSON strings, whatever the grammar around: how many
// characters they bring, whether they close the string, and what follows then. Found once.
class StringTokens {
 public:
  // A token that stays within the string. A character that it only begins counts.
  struct Inside {
    int32_t characters;
    int32_t token;
  };
  // A token that closes the string; `suffix`: what follows the quote, as a token of suffixes();
  // kNothing: nothing does.
  struct Closing {
    static constexpr int32_t kNothing = -1;
    int32_t token;
    int32_t suffix;
  };
  // A node of the tree at which a string closes that began at another.
  struct ClosingNode {
    int32_t characters;
    int32_t node;
  };
  // What goes on below a node at which a string begins.
  struct Below {
    std::vector<Inside> inside;
    std::vector<ClosingNode> closing;
  };

  explicit StringTokens(const Vocabulary& vocabulary);

  // Adds to a mask the tokens that stay within a string in which at most so many characters follow.
  void AddInside(Spelling spelling, int32_t most, std::span<uint32_t> mask) const;
  // Takes tokens that close a string after fewer or more characters out of a mask of such tokens.
  void KeepClosing(Spelling spelling, int32_t least, int32_t most, std::span<uint32_t> mask) const;
  // All tokens that close a string, and the texts that follow the quote in them.
  std::span<const Closing> closing(Spelling spelling) const {
    return lists_[static_cast<size_t>(spelling)].closing;
  }
  size_t words() const { return words_; }
  const Vocabulary& suffixes() const { return *suffixes_; }
  // What follows a node whose byte is a quote, as the first one of a string.
  const Below& BelowQuote(int32_t node, Spelling spelling) const {
    return lists_[static_cast<size_t>(spelling)].below.at(node);
  }

 private:
  // Characters up to which there is a mask for each number; few tokens have more.
  static constexpr int32_t kMasks = 32;
  // Tokens of one kind: by number of characters, in masks of up to so many, and beyond in a list.
  struct Counted {
    std::vector<std::vector<uint32_t>> up_to;
    std::vector<Inside> longer;
  };
  struct Lists {
    Counted inside;
    Counted closing_counts;
    std::vector<Closing> closing;
    std::unordered_map<int32_t, Below> below;
  };

  static Counted Count(const std::vector<Inside>& tokens, size_t words);
  static Below Follow(const Vocabulary& vocabulary, Spelling spelling, int32_t node);

  size_t words_;
  std::array<Lists, kSpellings> lists_;
  std::unique_ptr<const Vocabulary> suffixes_;
};

}  // namespace conclave
