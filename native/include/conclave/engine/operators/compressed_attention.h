#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "conclave/engine/operators/compressor.h"
#include "conclave/engine/operators/mixer.h"
#include "conclave/engine/operators/recurrent/fixed_states.h"

namespace conclave {

// Attention over the last positions and over entries that stand for spans of all before: some
// groups of heads of one layer, with all of its cache. A block of the cache holds the keys of its
// positions and, before them, entries: attention reads both by the slots that a selection leaves.
class CompressedAttentionOperator final : public Mixer {
 public:
  CompressedAttentionOperator(TensorLoader& loader, const ModelSpec& model,
                              const CompressedAttentionSpec& spec, const Share& share,
                              const CacheOptions& cache);

  void TakeCache(Backend& backend) override;
  void Forward(Backend& backend, MixerStep& step, const Tensor& input,
               const Tensor& output) override;

  uint64_t weight_bytes() const override;
  uint64_t cache_bytes() const override { return cache_bytes_; }
  static uint64_t SourceBytes(const CompressedAttentionSpec& spec);
  // Bytes that the cache takes on every rank, beside weights of a format.
  static uint64_t CacheBytes(const Backend& backend, const CompressedAttentionSpec& spec,
                             const CacheOptions& cache, WeightsFormat format);

 private:
  // What selects the entries that rows read.
  struct EntryIndexer {
    EntryIndexer(TensorLoader& loader, const EntryIndexerSpec& spec, const Rope& rope);

    SelectionParams params;
    MatrixPtr q, weights;
    Compressor keys;
    std::unique_ptr<PagedCache> cache;  // of entries
  };
  // What the matrices that read the input give.
  struct Projected {
    Tensor query_input, key, values, gates, index_values, index_gates;
  };

  Projected Project(Backend& backend, const Tensor& input) const;
  Tensor Queries(Backend& backend, const StepRows& where, const Tensor& query_input) const;
  void Attend(Backend& backend, const StepRows& where, const Tensor& q, const Tensor& key,
              const KeySelection* entries, const Tensor& attended);
  // The entries that rows read; absent: all that they have seen whole.
  std::optional<KeySelection> SelectEntries(Backend& backend, const StepRows& where,
                                            const Tensor& input, const Projected& projected);
  void Rotate(Backend& backend, const Rope& rope, const StepRows& where, int head_dim,
              const Tensor& x) const;

  AttentionParams params_;
  int window_;  // positions whose own keys are read
  SlotLayout slots_;
  Rope rope_, inverse_rope_;
  MatrixPtr q_down_, q_, key_, output_;
  std::vector<MatrixPtr> reduce_;  // of each group of heads
  Norm q_down_norm_, q_norm_, key_norm_;
  VectorPtr sinks_;  // null: none
  std::optional<Compressor> compressor_;
  std::optional<EntryIndexer> indexer_;
  std::optional<FixedStates> states_;  // of the folds: of keys, then of index keys
  CacheOptions options_;
  KvType cache_type_;
  uint64_t cache_bytes_;
  std::unique_ptr<PagedCache> cache_;
};

}  // namespace conclave
