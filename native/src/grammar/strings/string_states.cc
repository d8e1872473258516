#include "string_states.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace conclave {

using json_character::kBackslash;
using json_character::kDead;
using json_character::kDone;
using json_character::kStart;

const StringState* StringStates::Find(int32_t state) {
  std::vector<std::pair<int32_t, Character>> way;
  std::unordered_set<int32_t> on_way;
  std::optional<StringState> after;
  for (int32_t at = state;;) {
    if (const auto found = found_.find(at); found != found_.end()) {
      after = found->second;
      break;
    }
    Character character;
    if (none_.contains(at) || !on_way.insert(at).second) break;
    const bool same =
        !way.empty() && LikeCharacter(way.back().first, way.back().second, at, character);
    if (!same && !CharacterOf(at, character)) {
      if (!way.empty()) after = LastOf(at, way.back().second.spelling);
      if (!after.has_value()) none_.insert(at);
      break;
    }
    if (character.next == at) {
      if (character.closed == kNone) {
        none_.insert(at);
      } else {
        after = {character.spelling, 0, StringState::kUnbounded, character.closed};
        found_[at] = *after;
      }
      break;
    }
    way.push_back({at, character});
    at = character.next;
  }
  for (auto one = way.rbegin(); one != way.rend(); ++one) {
    const auto& [at, character] = *one;
    after = Before(character, after);
    if (after.has_value()) {
      found_[at] = *after;
    } else {
      none_.insert(at);
    }
  }
  const auto found = found_.find(state);
  return found == found_.end() ? nullptr : &found->second;
}

std::optional<StringState> StringStates::LastOf(int32_t state, Spelling spelling) const {
  const Edges edges = EdgesOf(state);
  if (!edges.plain || edges.rule != kNone || tables_.final[static_cast<size_t>(state)] != 0)
    return {};
  for (int byte = 0; byte < 256; ++byte) {
    if ((edges.bytes[byte] == kNone) != (byte != '"')) return {};
  }
  return StringState{spelling, 0, 0, edges.bytes['"']};
}

std::optional<StringState> StringStates::Before(const Character& character,
                                                std::optional<StringState> after) {
  if (!after.has_value() || after->spelling != character.spelling) return {};
  if (after->most != StringState::kUnbounded) ++after->most;
  if (character.closed == kNone) {
    ++after->least;
    return after;
  }
  // Texts of some lengths between the least and the most would not do.
  if (after->least > 0 || after->closed != character.closed) return {};
  return after;
}

StringStates::Edges StringStates::EdgesOf(int32_t state) const {
  Edges edges;
  std::fill(std::begin(edges.bytes), std::end(edges.bytes), kNone);
  const auto all = EdgesAt(state);
  edges.any = !all.empty();
  for (size_t edge = 0; edge < all.size(); edge += 3) {
    const int32_t value = all[edge + 1];
    const int32_t next = all[edge + 2];
    switch (static_cast<EdgeKind>(all[edge])) {
      case EdgeKind::kBytes:
        for (int32_t byte = value % 256; byte <= value / 256; ++byte) {
          edges.plain = edges.plain && edges.bytes[byte] == kNone;
          edges.bytes[byte] = next;
        }
        break;
      case EdgeKind::kRule:
        edges.plain = edges.plain && edges.rule == kNone;
        edges.rule = value;
        edges.after_rule = next;
        break;
      case EdgeKind::kToken:
        edges.plain = false;
    }
  }
  return edges;
}

bool StringStates::CharacterOf(int32_t state, Character& character) const {
  const Edges edges = EdgesOf(state);
  if (!edges.plain || tables_.final[static_cast<size_t>(state)] != 0) return false;
  int32_t target = kNone;
  std::set<std::pair<int32_t, int8_t>> seen;
  for (int byte = 0; byte < 256; ++byte) {
    if (byte == '"' || byte == '\\') continue;
    const int8_t at = json_character::Next(Spelling::kAny, kStart, static_cast<uint8_t>(byte));
    if ((at == kDead) != (edges.bytes[byte] == kNone)) return false;
    if (at != kDead && !Spells(edges.bytes[byte], at, Spelling::kAny, target, seen)) return false;
  }
  character.closed = edges.bytes['"'];
  character.next = target;
  const int32_t escape = edges.bytes['\\'];
  if (edges.rule != kNone) {
    character.spelling = Spelling::kAny;
    return escape == kNone && edges.after_rule == target && IsEscape(edges.rule);
  }
  if (escape == kNone) return false;
  for (const Spelling spelling : {Spelling::kStringify, Spelling::kAny}) {
    character.spelling = spelling;
    seen.clear();
    if (Spells(escape, kBackslash, spelling, target, seen)) return true;
  }
  return false;
}

bool StringStates::LikeCharacter(int32_t known, const Character& of_known, int32_t state,
                                 Character& character) const {
  character = {of_known.spelling, kNone, of_known.closed};
  std::vector<std::pair<int32_t, int32_t>> pairs = {{known, state}};
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto [a, b] = pairs[i];
    const auto edges_a = EdgesAt(a);
    const auto edges_b = EdgesAt(b);
    if (tables_.final[static_cast<size_t>(b)] != tables_.final[static_cast<size_t>(a)] ||
        edges_a.size() != edges_b.size())
      return false;
    for (size_t edge = 0; edge < edges_a.size(); edge += 3) {
      if (edges_a[edge] != edges_b[edge] || edges_a[edge + 1] != edges_b[edge + 1]) return false;
      const std::pair<int32_t, int32_t> next = {edges_a[edge + 2], edges_b[edge + 2]};
      if (next.first == of_known.next) {
        if (character.next == kNone) character.next = next.second;
        if (character.next != next.second) return false;
      } else if (next.first == of_known.closed) {
        if (next.second != of_known.closed) return false;
      } else if (std::find(pairs.begin(), pairs.end(), next) == pairs.end()) {
        pairs.push_back(next);
      }
    }
  }
  return true;
}

std::span<const int32_t> StringStates::EdgesAt(int32_t state) const {
  const auto begin = static_cast<size_t>(tables_.edge_offsets[static_cast<size_t>(state)]) * 3;
  const auto end = static_cast<size_t>(tables_.edge_offsets[static_cast<size_t>(state) + 1]) * 3;
  return std::span(tables_.edges).subspan(begin, end - begin);
}

bool StringStates::Spells(int32_t state, int8_t at, Spelling spelling, int32_t& target,
                          std::set<std::pair<int32_t, int8_t>>& seen) const {
  std::vector<std::pair<int32_t, int8_t>> open = {{state, at}};
  while (!open.empty()) {
    const auto pair = open.back();
    open.pop_back();
    if (!seen.insert(pair).second) continue;
    if (pair.second == kDone) {
      if (target == kNone) target = pair.first;
      if (target != pair.first) return false;
      continue;
    }
    const Edges edges = EdgesOf(pair.first);
    if (!edges.plain || edges.rule != kNone || tables_.final[static_cast<size_t>(pair.first)] != 0)
      return false;
    for (int byte = 0; byte < 256; ++byte) {
      const int8_t next = json_character::Next(spelling, pair.second, static_cast<uint8_t>(byte));
      if ((next == kDead) != (edges.bytes[byte] == kNone)) return false;
      const std::pair<int32_t, int8_t> to = {edges.bytes[byte], next};
      if (next != kDead && (open.empty() || open.back() != to)) open.push_back(to);
    }
  }
  return true;
}

bool StringStates::IsEscape(int32_t rule) const {
  const Edges edges = EdgesOf(tables_.rules[static_cast<size_t>(rule)]);
  const auto taken = std::count_if(std::begin(edges.bytes), std::end(edges.bytes),
                                   [](int32_t next) { return next != kNone; });
  if (!edges.plain || edges.rule != kNone || taken != 1 || edges.bytes['\\'] == kNone) return false;
  if (tables_.final[static_cast<size_t>(tables_.rules[static_cast<size_t>(rule)])] != 0)
    return false;
  int32_t end = kNone;
  std::set<std::pair<int32_t, int8_t>> seen;
  if (!Spells(edges.bytes['\\'], kBackslash, Spelling::kAny, end, seen)) return false;
  return tables_.final[static_cast<size_t>(end)] != 0 && !EdgesOf(end).any;
}

}  // namespace conclave
