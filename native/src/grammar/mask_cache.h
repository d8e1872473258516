#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "cursor.h"

namespace conclave {

// Which tokens may follow a cursor. What a configuration allows by itself is found once by a walk
// over the tree of tokens. Where a token goes on behind the configuration's rule, the frame below
// decides: that is found once for each frame, and so on down, as deep as tokens reach.
class MaskCache {
 public:
  MaskCache(Configurations& configurations, const Vocabulary& vocabulary)
      : configurations_(configurations), vocabulary_(vocabulary) {}

  // Valid until the next call.
  const std::vector<uint32_t>& Allowed(Cursor cursor, const Stacks& stacks);

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
  // Walks the tree below a node from a configuration above an unknown stack.
  void Walk(int32_t node, int32_t config, bool skip_plain, std::vector<uint32_t>& mask,
            std::vector<int32_t>& pops);
  void Count(const Entry& entry, bool own_mask);

  Configurations& configurations_;
  const Vocabulary& vocabulary_;
  std::unordered_map<int32_t, std::unique_ptr<Entry>> entries_;
  size_t bytes_ = 0;
};

}  // namespace conclave
