#include "cursor.h"

#include <algorithm>

namespace conclave {

std::vector<int32_t> FramesOf(int32_t stack, const Stacks& stacks) {
  std::vector<int32_t> frames;
  for (; stack != Stacks::kBottom; stack = stacks.below(stack))
    frames.push_back(stacks.state(stack));
  std::reverse(frames.begin(), frames.end());
  return frames;
}

namespace {

// One cursor for two.
Cursor Both(Configurations& configurations, Cursor a, Cursor b, Stacks& stacks) {
  std::vector<Configurations::Place> places;
  for (const Cursor cursor : {a, b}) {
    const std::vector<int32_t> below = FramesOf(cursor.stack, stacks);
    for (Configurations::Place& place : configurations.Places(cursor.config)) {
      place.frames.insert(place.frames.begin(), below.begin(), below.end());
      places.push_back(std::move(place));
    }
  }
  return Apply(configurations, configurations.Join(places), Stacks::kBottom, stacks);
}

// `next(config, stack)` for the configuration and for all that its end leads back to.
template <typename Next>
Cursor After(Configurations& configurations, Cursor cursor, Stacks& stacks, const Next& next) {
  Cursor after;
  while (true) {
    const Cursor reached = next(cursor);
    if (!reached.dead())
      after = after.dead() ? reached : Both(configurations, after, reached, stacks);
    if (!configurations.pops(cursor.config) || cursor.stack == Stacks::kBottom) return after;
    cursor = {configurations.Of(stacks.state(cursor.stack)), stacks.below(cursor.stack)};
  }
}

}  // namespace

Cursor AfterByte(Configurations& configurations, Cursor cursor, uint8_t byte, Stacks& stacks) {
  return After(configurations, cursor, stacks, [&](Cursor from) -> Cursor {
    const Transition* transition = configurations.Next(from.config, byte);
    if (transition == nullptr) return {};
    return Apply(configurations, *transition, from.stack, stacks);
  });
}

Cursor AfterToken(Configurations& configurations, Cursor cursor, int32_t token, Stacks& stacks) {
  return After(configurations, cursor, stacks, [&](Cursor from) -> Cursor {
    const Transition transition = configurations.NextToken(from.config, token);
    if (transition.config == Configurations::kDead) return {};
    return Apply(configurations, transition, from.stack, stacks);
  });
}

bool MayEnd(Configurations& configurations, Cursor cursor, const Stacks& stacks) {
  while (configurations.pops(cursor.config)) {
    if (cursor.stack == Stacks::kBottom) return true;
    cursor = {configurations.Of(stacks.state(cursor.stack)), stacks.below(cursor.stack)};
  }
  return false;
}

}  // namespace conclave
