#pragma once

#include <cstdint>
#include <vector>

#include "configurations.h"

namespace conclave {

// States to return to, as lists that share their ends. Freed all at once, from the newest back.
class Stacks {
 public:
  static constexpr int32_t kBottom = -1;

  int32_t Push(int32_t state, int32_t below) {
    nodes_.push_back({state, below});
    return static_cast<int32_t>(nodes_.size() - 1);
  }
  int32_t state(int32_t node) const { return nodes_[static_cast<size_t>(node)].first; }
  int32_t below(int32_t node) const { return nodes_[static_cast<size_t>(node)].second; }
  size_t size() const { return nodes_.size(); }
  void Shrink(size_t size) { nodes_.resize(size); }

 private:
  std::vector<std::pair<int32_t, int32_t>> nodes_;
};

// The frames of a stack, bottom first.
std::vector<int32_t> FramesOf(int32_t stack, const Stacks& stacks);

// Where a text stands: a configuration above a stack.
struct Cursor {
  int32_t config = Configurations::kDead;
  int32_t stack = Stacks::kBottom;

  bool dead() const { return config == Configurations::kDead; }
  friend bool operator==(const Cursor&, const Cursor&) = default;
};

inline Cursor Apply(const Configurations& configurations, const Transition& transition,
                    int32_t stack, Stacks& stacks) {
  for (const int32_t frame : configurations.frames(transition)) stack = stacks.Push(frame, stack);
  return {transition.config, stack};
}

// The cursor after a byte, or after a special token.
Cursor AfterByte(Configurations& configurations, Cursor cursor, uint8_t byte, Stacks& stacks);
Cursor AfterToken(Configurations& configurations, Cursor cursor, int32_t token, Stacks& stacks);

// Whether the text may end here.
bool MayEnd(Configurations& configurations, Cursor cursor, const Stacks& stacks);

}  // namespace conclave
