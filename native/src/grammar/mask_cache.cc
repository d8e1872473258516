#include "mask_cache.h"

#include <algorithm>

#include "string_masks.h"

namespace conclave {
namespace {

// Places followed at a time; further ones are left out, which allows less and never more.
constexpr size_t kMaxCursors = 64;

// The cursors at each node of the way from a walk's origin to the node it is at.
class Trail {
 public:
  Trail(Configurations& configurations, int32_t config, const std::vector<int32_t>& frames)
      : configurations_(configurations) {
    int32_t stack = Stacks::kBottom;
    for (const int32_t frame : frames) stack = stacks_.Push(frame, stack);
    cursors_.push_back({config, stack});
    levels_.push_back({0, 1, stacks_.size(), false});
  }

  // Goes from a node at `depth` to a child. Returns whether anything is left.
  bool Step(size_t depth, uint8_t byte) {
    levels_.resize(depth + 1);
    Level& level = levels_.back();
    cursors_.resize(level.end);
    stacks_.Shrink(level.stacks);
    for (size_t i = level.begin; i < level.end; ++i) {
      for (Cursor cursor = cursors_[i];;) {
        if (const Transition* next = configurations_.Next(cursor.config, byte); next != nullptr)
          Add(Apply(configurations_, *next, cursor.stack, stacks_), level.end);
        if (!configurations_.pops(cursor.config)) break;
        if (cursor.stack == Stacks::kBottom) {
          level.pops = true;
          break;
        }
        cursor = {configurations_.Of(stacks_.state(cursor.stack)), stacks_.below(cursor.stack)};
      }
    }
    const size_t begin = level.end;
    if (cursors_.size() == begin) return false;
    levels_.push_back({begin, cursors_.size(), stacks_.size(), false});
    return true;
  }

  // The cursor of the last step where it is the only one; else a dead one.
  Cursor single() const {
    const Level& level = levels_.back();
    return level.end - level.begin == 1 ? cursors_[level.begin] : Cursor{};
  }
  const Stacks& stacks() const { return stacks_; }

  // Whether a cursor at this depth has left the walk's rule, once one of its children was tried.
  bool pops(size_t depth) const { return levels_[depth].pops; }

 private:
  struct Level {
    size_t begin;
    size_t end;
    size_t stacks;
    bool pops;
  };

  void Add(Cursor cursor, size_t begin) {
    if (cursors_.size() - begin >= kMaxCursors) return;
    const auto first = cursors_.begin() + static_cast<int64_t>(begin);
    if (std::find(first, cursors_.end(), cursor) == cursors_.end()) cursors_.push_back(cursor);
  }

  Configurations& configurations_;
  Stacks stacks_;
  std::vector<Cursor> cursors_;
  std::vector<Level> levels_;
};

}  // namespace

MaskCache::MaskCache(Configurations& configurations, const Vocabulary& vocabulary)
    : configurations_(configurations), vocabulary_(vocabulary) {
  const StringTokens* strings = vocabulary.strings();
  if (strings != nullptr) strings_ = std::make_unique<StringMasks>(configurations, *strings);
}

MaskCache::~MaskCache() = default;

const std::vector<uint32_t>& MaskCache::Allowed(Cursor cursor, const Stacks& stacks) {
  // Where a rule has ended and takes nothing more, the frame below stands for it.
  while (configurations_.only_pops(cursor.config) && cursor.stack != Stacks::kBottom)
    cursor = {configurations_.Of(stacks.state(cursor.stack)), stacks.below(cursor.stack)};
  const StringState* string = configurations_.InString(cursor.config);
  if (string != nullptr && strings_ != nullptr)
    return strings_->Allowed(StringState{*string}, cursor.stack, stacks);
  Entry* entry = &OfConfig(cursor.config);
  for (int32_t stack = cursor.stack; !entry->pops.empty() && stack != Stacks::kBottom;
       stack = stacks.below(stack)) {
    entry = &OfFrame(*entry, stacks.state(stack));
  }
  return *entry->mask;
}

size_t MaskCache::bytes() const { return bytes_ + (strings_ == nullptr ? 0 : strings_->bytes()); }

MaskCache::Entry& MaskCache::OfConfig(int32_t config) {
  std::unique_ptr<Entry>& entry = entries_[config];
  if (entry != nullptr) return *entry;
  auto made = std::make_unique<Entry>();
  auto mask = std::make_shared<std::vector<uint32_t>>(vocabulary_.words(), 0);
  const bool plain = configurations_.plain_run(config) >= Vocabulary::kPlainCharacters;
  if (plain) {
    const auto tokens = vocabulary_.plain_tokens();
    mask->assign(tokens.begin(), tokens.end());
  }
  // Numbers of special tokens are those of the whole vocabulary; texts behind quotes have none.
  if (strings_ != nullptr) {
    for (const int32_t token : configurations_.Tokens(config)) SetBit(*mask, token);
  }
  Follow(kRoot, {config, {}, plain, *mask, made->pops});
  made->mask = std::move(mask);
  Count(*made, true);
  entry = std::move(made);
  return *entry;
}

MaskCache::Entry& MaskCache::OfFrame(Entry& entry, int32_t state) {
  if (const auto found = entry.below.find(state); found != entry.below.end()) return *found->second;
  const int32_t config = configurations_.Of(state);
  auto made = std::make_unique<Entry>();
  std::vector<uint32_t> mask = *entry.mask;
  for (const int32_t node : entry.pops) {
    if (node == kRoot) {
      const Entry& whole = OfConfig(config);
      for (size_t i = 0; i < mask.size(); ++i) mask[i] |= (*whole.mask)[i];
      made->pops.insert(made->pops.end(), whole.pops.begin(), whole.pops.end());
    } else {
      Follow(node, {config, {}, false, mask, made->pops});
    }
  }
  const bool same = mask == *entry.mask;
  made->mask = same ? entry.mask : std::make_shared<const std::vector<uint32_t>>(std::move(mask));
  Count(*made, !same);
  return *entry.below.emplace(state, std::move(made)).first->second;
}

void MaskCache::Follow(int32_t node, const Walk& walk) {
  const auto trie = vocabulary_.trie();
  const int32_t end =
      node == kRoot ? static_cast<int32_t>(trie.size()) : trie[static_cast<size_t>(node)].end;
  const size_t base = node == kRoot ? 0 : trie[static_cast<size_t>(node)].depth + size_t{1};
  Trail trail(configurations_, walk.config, walk.frames);
  std::vector<int32_t> path = {node};
  for (int32_t i = node + 1; i < end;) {
    const TrieNode& at = trie[static_cast<size_t>(i)];
    if (walk.skip_plain && at.plain) {
      i = at.end;
      continue;
    }
    const size_t depth = at.depth - base;
    path.resize(depth + 1);
    const bool popped = trail.pops(depth);
    const bool alive = trail.Step(depth, at.byte);
    if (trail.pops(depth) && !popped) walk.pops.push_back(path[depth]);
    if (!alive) {
      i = at.end;
      continue;
    }
    for (int32_t t = at.tokens_begin; t < at.tokens_end; ++t)
      SetBit(walk.mask, vocabulary_.sorted()[static_cast<size_t>(t)]);
    const Cursor cursor = at.byte == '"' && strings_ != nullptr ? trail.single() : Cursor{};
    const StringState* string = cursor.dead() ? nullptr : configurations_.InString(cursor.config);
    if (string != nullptr) {
      const StringTokens::Below& below = vocabulary_.strings()->BelowQuote(i, string->spelling);
      FollowString(below, StringState{*string}, FramesOf(cursor.stack, trail.stacks()), walk);
      i = at.end;
      continue;
    }
    path.push_back(i);
    ++i;
  }
}

void MaskCache::FollowString(const StringTokens::Below& below, const StringState& string,
                             const std::vector<int32_t>& frames, const Walk& walk) {
  for (const auto& [characters, token] : below.inside) {
    if (characters <= string.most) SetBit(walk.mask, token);
  }
  if (below.closing.empty()) return;
  const int32_t closed = configurations_.Of(string.closed);
  for (const auto& [characters, node] : below.closing) {
    if (characters < string.least || characters > string.most) continue;
    const TrieNode& quote = vocabulary_.trie()[static_cast<size_t>(node)];
    for (int32_t t = quote.tokens_begin; t < quote.tokens_end; ++t)
      SetBit(walk.mask, vocabulary_.sorted()[static_cast<size_t>(t)]);
    if (node + 1 < quote.end) Follow(node, {closed, frames, false, walk.mask, walk.pops});
  }
}

void MaskCache::Count(const Entry& entry, bool own_mask) {
  bytes_ += sizeof(Entry) + entry.pops.capacity() * sizeof(int32_t) +
            (own_mask ? vocabulary_.words() * sizeof(uint32_t) : 0);
}

}  // namespace conclave
