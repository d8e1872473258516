#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "conclave/engine/norm.h"
#include "conclave/engine/operators/mixer.h"

namespace conclave {

// Selects the positions that attention reads, by keys of its own that every rank keeps.
class Indexer {
 public:
  // `heads`: those of this rank, where each selects by itself.
  Indexer(TensorLoader& loader, const ModelSpec& model, const IndexerSpec& spec, Range heads,
          const CacheOptions& cache);

  void TakeCache(Backend& backend);
  // Writes the keys of the rows `input` into the cache, and leaves the step's selection;
  // `query_input` is what queries are made of.
  void Select(Backend& backend, MixerStep& step, const Tensor& input, const Tensor& query_input);

  uint64_t weight_bytes() const;
  uint64_t cache_bytes() const { return cache_bytes_; }
  static uint64_t SourceBytes(const IndexerSpec& spec);
  static uint64_t CacheBytes(const Backend& backend, const IndexerSpec& spec,
                             const CacheOptions& cache, WeightsFormat format);

 private:
  SelectionParams params_;
  int selectors_;
  std::optional<Rope> rope_;
  MatrixPtr q_, k_;
  MatrixPtr weights_;          // null: each head selects by itself
  VectorPtr q_bias_, k_bias_;  // null: none
  std::optional<Norm> q_norm_;
  Norm k_norm_;
  KvCacheShape cache_shape_;
  KvType cache_type_;
  uint64_t cache_bytes_;
  std::unique_ptr<PagedCache> cache_;
};

}  // namespace conclave
