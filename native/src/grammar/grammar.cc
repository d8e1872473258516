#include "conclave/grammar/grammar.h"

#include <string>
#include <utility>

#include "conclave/base/expect.h"
#include "configurations.h"
#include "mask_cache.h"

namespace conclave {
namespace {

constexpr size_t kMostBytes = size_t{16} << 20;
constexpr size_t kMostBytesTogether = size_t{128} << 20;

void CheckEdge(const GrammarTables& tables, const Vocabulary& vocabulary, int64_t edge) {
  const auto at = static_cast<size_t>(edge) * 3;
  const int32_t value = tables.edges[at + 1];
  switch (static_cast<EdgeKind>(tables.edges[at])) {
    case EdgeKind::kBytes:
      ExpectAt(value >= 0 && value < 65536 && value % 256 <= value / 256, "grammar.edges", edge,
               "least byte + 256 * greatest byte", value);
      break;
    case EdgeKind::kRule:
      ExpectAt(value >= 0 && static_cast<size_t>(value) < tables.rules.size(), "grammar.edges",
               edge, "a rule", value);
      break;
    case EdgeKind::kToken:
      ExpectAt(value >= 0 && value < vocabulary.size() && vocabulary.special(value),
               "grammar.edges", edge, "a special token", value);
      break;
    default:
      ExpectAt(false, "grammar.edges", edge, "kind 0, 1 or 2", tables.edges[at]);
  }
  const int32_t next = tables.edges[at + 2];
  ExpectAt(next >= 0 && static_cast<size_t>(next) < tables.final.size(), "grammar.edges", edge,
           "a next state of the grammar", next);
}

void CheckTables(const GrammarTables& tables, const Vocabulary& vocabulary) {
  const size_t states = tables.final.size();
  const auto count = [](const auto& column) { return static_cast<int64_t>(column.size()); };
  Expect(!tables.rules.empty(), "grammar.rules", "1 or more entries", count(tables.rules));
  Expect(tables.plain_runs.size() == states, "grammar.plain_runs", "one entry for each state",
         count(tables.plain_runs));
  Expect(tables.edge_offsets.size() == states + 1 && tables.edge_offsets.front() == 0,
         "grammar.edge_offsets", "0, and one entry for each state", count(tables.edge_offsets));
  Expect(tables.edges.size() % 3 == 0 &&
             tables.edges.size() / 3 == static_cast<size_t>(tables.edge_offsets.back()),
         "grammar.edges", "three entries for each edge", count(tables.edges));
  for (size_t i = 0; i < states; ++i) {
    ExpectAt(tables.edge_offsets[i] <= tables.edge_offsets[i + 1], "grammar.edge_offsets",
             static_cast<int64_t>(i), "ascending offsets", tables.edge_offsets[i]);
  }
  for (size_t i = 0; i < tables.rules.size(); ++i) {
    ExpectAt(tables.rules[i] >= 0 && static_cast<size_t>(tables.rules[i]) < states, "grammar.rules",
             static_cast<int64_t>(i), "a state", tables.rules[i]);
  }
  for (int64_t edge = 0; edge < count(tables.edges) / 3; ++edge)
    CheckEdge(tables, vocabulary, edge);
}

}  // namespace

Grammar::Grammar(std::shared_ptr<const Vocabulary> vocabulary, GrammarTables tables)
    : vocabulary_(std::move(vocabulary)), tables_(std::move(tables)) {
  CheckTables(tables_, *vocabulary_);
  Forget();
  ++vocabulary_->grammar_memory().grammars;
}

Grammar::~Grammar() {
  GrammarMemory& memory = vocabulary_->grammar_memory();
  memory.bytes -= counted_bytes_;
  --memory.grammars;
}

void Grammar::Forget() {
  masks_.reset();
  configurations_ = std::make_unique<Configurations>(tables_);
  masks_ = std::make_unique<MaskCache>(*configurations_, *vocabulary_);
  ++generation_;
}

void Grammar::BoundMemory() {
  GrammarMemory& memory = vocabulary_->grammar_memory();
  const auto count = [&] {
    const size_t bytes = masks_->bytes() + configurations_->bytes();
    // Differences of unsigned numbers wrap around, and so do sums.
    memory.bytes += bytes - counted_bytes_;
    counted_bytes_ = bytes;
  };
  count();
  const size_t together = memory.bytes;
  const bool own = masks_->bytes() > kMostBytes;
  const bool share =
      together > kMostBytesTogether && counted_bytes_ > kMostBytesTogether / memory.grammars;
  if (!own && !share) return;
  Forget();
  count();
}

}  // namespace conclave
