#include "mask_cache.h"

#include <algorithm>

namespace conclave {
namespace {

constexpr size_t kMaxBytes = size_t{64} << 20;
// Places followed at a time; further ones are left out, which allows less and never more.
constexpr size_t kMaxCursors = 64;

// The cursors at each node of the way from a walk's origin to the node it is at.
class Trail {
 public:
  Trail(Configurations& configurations, int32_t config) : configurations_(configurations) {
    cursors_.push_back({config, Stacks::kBottom});
    levels_.push_back({0, 1, 0, false});
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

const std::vector<uint32_t>& MaskCache::Allowed(Cursor cursor, const Stacks& stacks) {
  if (bytes_ > kMaxBytes) {
    entries_.clear();
    bytes_ = 0;
  }
  Entry* entry = &OfConfig(cursor.config);
  for (int32_t stack = cursor.stack; !entry->pops.empty() && stack != Stacks::kBottom;
       stack = stacks.below(stack)) {
    entry = &OfFrame(*entry, stacks.state(stack));
  }
  return *entry->mask;
}

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
  for (const int32_t token : configurations_.Tokens(config)) SetBit(*mask, token);
  Walk(kRoot, config, plain, *mask, made->pops);
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
      Walk(node, config, false, mask, made->pops);
    }
  }
  const bool same = mask == *entry.mask;
  made->mask = same ? entry.mask : std::make_shared<const std::vector<uint32_t>>(std::move(mask));
  Count(*made, !same);
  return *entry.below.emplace(state, std::move(made)).first->second;
}

void MaskCache::Walk(int32_t node, int32_t config, bool skip_plain, std::vector<uint32_t>& mask,
                     std::vector<int32_t>& pops) {
  const auto trie = vocabulary_.trie();
  const int32_t end =
      node == kRoot ? static_cast<int32_t>(trie.size()) : trie[static_cast<size_t>(node)].end;
  const size_t base = node == kRoot ? 0 : trie[static_cast<size_t>(node)].depth + size_t{1};
  Trail trail(configurations_, config);
  std::vector<int32_t> path = {node};
  for (int32_t i = node + 1; i < end;) {
    const TrieNode& at = trie[static_cast<size_t>(i)];
    if (skip_plain && at.plain) {
      i = at.end;
      continue;
    }
    const size_t depth = at.depth - base;
    path.resize(depth + 1);
    const bool popped = trail.pops(depth);
    const bool alive = trail.Step(depth, at.byte);
    if (trail.pops(depth) && !popped) pops.push_back(path[depth]);
    if (!alive) {
      i = at.end;
      continue;
    }
    for (int32_t t = at.tokens_begin; t < at.tokens_end; ++t)
      SetBit(mask, vocabulary_.sorted()[static_cast<size_t>(t)]);
    path.push_back(i);
    ++i;
  }
}

void MaskCache::Count(const Entry& entry, bool own_mask) {
  bytes_ += sizeof(Entry) + entry.pops.capacity() * sizeof(int32_t) +
            (own_mask ? vocabulary_.words() * sizeof(uint32_t) : 0);
}

}  // namespace conclave
