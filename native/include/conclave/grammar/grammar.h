#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "conclave/grammar/vocabulary.h"

namespace conclave {

class Configurations;
class MaskCache;

// Grammar in stage.proto.
struct GrammarTables {
  std::vector<int32_t> rules;
  std::vector<int32_t> edge_offsets;
  std::vector<int32_t> edges;
  std::vector<uint8_t> final;
  std::vector<int32_t> plain_runs;
};

// What an edge takes.
enum class EdgeKind : int32_t { kBytes = 0, kRule = 1, kToken = 2 };

// A grammar over a vocabulary, with all that is remembered of its masks. Sequences share it: its
// caches are read and written under `mutex`.
class Grammar {
 public:
  // Throws kInvalidArgument for tables that are none.
  Grammar(std::shared_ptr<const Vocabulary> vocabulary, GrammarTables tables);
  ~Grammar();

  const Vocabulary& vocabulary() const { return *vocabulary_; }
  Configurations& configurations() { return *configurations_; }
  MaskCache& masks() { return *masks_; }
  // Counts up whenever configurations are forgotten: their numbers then mean nothing any more.
  uint64_t generation() const { return generation_; }
  void Forget();
  // To be called when masks were made: forgets where they are too large, or larger than this
  // grammar's share where those of all grammars over the vocabulary are.
  void BoundMemory();

  std::mutex mutex;

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;
  GrammarTables tables_;
  std::unique_ptr<Configurations> configurations_;
  std::unique_ptr<MaskCache> masks_;
  uint64_t generation_ = 0;
  size_t counted_bytes_ = 0;  // in the vocabulary's grammar_memory()
};

}  // namespace conclave
