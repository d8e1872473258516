#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "conclave/grammar/grammar.h"
#include "json_character.h"

namespace conclave {

// A state within a JSON string: `least` to `most` characters follow, and then a quote that leads to
// the state `closed`.
struct StringState {
  static constexpr int32_t kUnbounded = INT32_MAX;
  Spelling spelling;
  int32_t least;
  int32_t most;
  int32_t closed;
};

// Finds the states of a grammar that are within JSON strings, by what follows them. Remembers what
// it finds.
class StringStates {
 public:
  explicit StringStates(const GrammarTables& tables) : tables_(tables) {}

  // Null for another state.
  const StringState* Find(int32_t state);

 private:
  static constexpr int32_t kNone = -1;
  // One character further; `closed`: where a quote leads.
  struct Character {
    Spelling spelling;
    int32_t next;
    int32_t closed;
  };
  // What a state takes byte by byte, and which rules.
  struct Edges {
    int32_t bytes[256];
    int32_t rule = kNone;
    int32_t after_rule = kNone;
    bool plain = true;  // no special token, no more than one rule, no byte twice
    bool any = false;
  };

  Edges EdgesOf(int32_t state) const;
  // As in the tables: kind, value and next state of each.
  std::span<const int32_t> EdgesAt(int32_t state) const;
  // The last state of a string whose characters are counted: it takes its quote alone.
  std::optional<StringState> LastOf(int32_t state, Spelling spelling) const;
  // The state one character before another.
  static std::optional<StringState> Before(const Character& character,
                                           std::optional<StringState> after);
  bool CharacterOf(int32_t state, Character& character) const;
  // The character of a state that is like a known one: the same edges lead to states that are
  // like one another. Of counted strings most are, and this takes a fraction of the time.
  bool LikeCharacter(int32_t known, const Character& of_known, int32_t state,
                     Character& character) const;
  // Whether a state goes on exactly as the character does whose bytes so far led to `at`; `target`:
  // where its end leads, one state for all; `seen`: what was looked at.
  bool Spells(int32_t state, int8_t at, Spelling spelling, int32_t& target,
              std::set<std::pair<int32_t, int8_t>>& seen) const;
  // Whether the character that a rule spells is one that begins with a backslash, in any way.
  bool IsEscape(int32_t rule) const;

  const GrammarTables& tables_;
  std::unordered_map<int32_t, StringState> found_;
  std::unordered_set<int32_t> none_;
};

}  // namespace conclave
