#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "cursor.h"
#include "strings/string_tokens.h"

namespace conclave {

class StringMasks;

// Which tokens may follow a cursor. What a configuration allows by itself is found once by a walk
// over the tree of tokens. Where a token goes on behind the configuration's rule, the frame below
// decides: that is found once for each frame, and so on down, as deep as tokens reach. Within JSON
// strings nothing is walked: StringMasks put the masks together.
class MaskCache {
 public:
  MaskCache(Configurations& configurations, const Vocabulary& vocabulary);
  ~MaskCache();

  // Valid until the next call.
  const std::vector<uint32_t>& Allowed(Cursor cursor, const Stacks& stacks);
  size_t bytes() const;

 private:
  static constexpr int32_t kRoot = -1;

  struct Entry {
    std::shared_ptr<const std::vector<uint32_t>> mask;
    // Nodes of the tree at which the rule has ended and tokens go on; kRoot: before the first byte.
    std::vector<int32_t> pops;
    // By the state of the frame below.
    std::unordered_map<int32_t, std::unique_ptr<Entry>> below;
  };

  Entry& OfConfig(int32_t config);
  Entry& OfFrame(Entry& entry, int32_t state);
  // What a walk finds, and where it began: at a configuration above frames, bottom first, above an
  // unknown stack.
  struct Walk {
    int32_t config;
    std::vector<int32_t> frames;
    bool skip_plain;
    std::vector<uint32_t>& mask;
    std::vector<int32_t>& pops;
  };
  // Walks the tree below a node.
  void Follow(int32_t node, const Walk& walk);
  // What is below a node of the tree whose quote has begun a string, as StringTokens know it.
  void FollowString(const StringTokens::Below& below, const StringState& string,
                    const std::vector<int32_t>& frames, const Walk& walk);
  void Count(const Entry& entry, bool own_mask);

  Configurations& configurations_;
  const Vocabulary& vocabulary_;
  std::unique_ptr<StringMasks> strings_;
  std::unordered_map<int32_t, std::unique_ptr<Entry>> entries_;
  size_t bytes_ = 0;
};

}  // namespace conclave
