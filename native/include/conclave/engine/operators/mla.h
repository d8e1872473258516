#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "conclave/engine/norm.h"
#include "conclave/engine/operators/indexer.h"
#include "conclave/engine/operators/mixer.h"

namespace conclave {

// Attention over latents: some heads of one layer, with all of its cache. Keys and values of heads
// are never made: a head's query goes through its K first, and what it attends to through its V
// afterwards, so that all heads read the same cached rows (see MlaSpec in model.proto).
class MlaOperator final : public Mixer {
 public:
  MlaOperator(TensorLoader& loader, const ModelSpec& model, const MlaSpec& spec, const Share& share,
              const CacheOptions& cache, bool output_bias);

  void TakeCache(Backend& backend) override;
  // Writes the rows' latents and rotated keys into the cache.
  void Forward(Backend& backend, MixerStep& step, const Tensor& input,
               const Tensor& output) override;

  uint64_t weight_bytes() const override;
  uint64_t cache_bytes() const override {
    return cache_bytes_ + (indexer_ ? indexer_->cache_bytes() : 0);
  }
  static uint64_t SourceBytes(const MlaSpec& spec);
  // Bytes that the cache takes on every rank, beside weights of a format.
  static uint64_t CacheBytes(const Backend& backend, const MlaSpec& spec, const CacheOptions& cache,
                             WeightsFormat format);

 private:
  // What queries are made of: the input, or its product with q_down, normalised.
  Tensor QueryInput(Backend& backend, const Tensor& input) const;

  std::optional<Rope> rope_;
  AttentionParams params_;
  std::optional<QueryScaling> query_scaling_;
  bool shares_selection_;
  MatrixPtr q_down_;  // null: none
  std::optional<Norm> q_norm_;
  MatrixPtr q_, latent_, o_;
  MatrixPtr gate_;                                         // null: none
  VectorPtr q_down_bias_, q_bias_, latent_bias_, o_bias_;  // null: none
  Norm latent_norm_;
  std::vector<MatrixPtr> keys_;    // of each head: K^T [latent_dim, plain_dim]
  std::vector<MatrixPtr> values_;  // V [value_dim, latent_dim]
  KvCacheShape cache_shape_;
  KvType cache_type_;
  uint64_t cache_bytes_;
  std::unique_ptr<PagedCache> cache_;
  std::optional<Indexer> indexer_;
};

}  // namespace conclave
