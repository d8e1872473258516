#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "conclave/engine/norm.h"
#include "conclave/engine/operators/indexer.h"
#include "conclave/engine/operators/mixer.h"

namespace conclave {

// Grouped-query attention: some heads of one layer with their cache.
class GqaOperator final : public Mixer {
 public:
  GqaOperator(TensorLoader& loader, const ModelSpec& model, const GqaSpec& spec, const Share& share,
              const CacheOptions& cache, bool output_bias);

  void TakeCache(Backend& backend) override;
  // Of one that keeps nothing: whose keys and values it reads, which have run before it.
  void ReadCacheOf(const GqaOperator& keeper) { cache_ = keeper.cache_; }
  // Writes the rows' keys and values into the cache, if they are its own.
  void Forward(Backend& backend, MixerStep& step, const Tensor& input,
               const Tensor& output) override;

  uint64_t weight_bytes() const override;
  uint64_t cache_bytes() const override {
    return cache_bytes_ + (indexer_ ? indexer_->cache_bytes() : 0);
  }
  static uint64_t SourceBytes(const GqaSpec& spec);
  // Bytes that the cache of a share takes, beside weights of a format.
  static uint64_t CacheBytes(const Backend& backend, const GqaSpec& spec, const Share& share,
                             const CacheOptions& cache, WeightsFormat format);

 private:
  void LoadKeys(TensorLoader& loader, const GqaSpec& spec, Range kv, Range values);
  void LoadGate(TensorLoader& loader, const GqaSpec& spec, Range heads);
  // Multiplies what attention gives.
  void Gate(Backend& backend, const Tensor& input, const Tensor& attended) const;
  // Queries or keys, in place.
  void Normalise(Backend& backend, const std::optional<Norm>& norm, const VectorPtr& own,
                 const Tensor& x) const;

  std::optional<Rope> rope_;
  AttentionParams params_;
  bool norm_per_head_;
  bool norm_after_rope_;
  float clip_;
  std::optional<QueryScaling> query_scaling_;
  MatrixPtr q_, k_, v_, o_;                      // k_, v_ null: another layer's cache is read
  VectorPtr q_bias_, k_bias_, v_bias_, o_bias_;  // null: none
  std::optional<Norm> q_norm_, k_norm_;
  VectorPtr q_weights_, k_weights_;  // of each head's own norm; null: all heads share theirs
  VectorPtr sinks_;                  // null: none
  std::optional<Norm> v_norm_;
  float value_multiplier_;
  MatrixPtr gate_;  // null: none
  VectorPtr gate_bias_;
  VectorPtr gate_zeros_;  // of a softplus; null: a sigmoid
  std::optional<Indexer> indexer_;
  KvCacheShape cache_shape_;
  KvType cache_type_;
  uint64_t cache_bytes_;
  std::shared_ptr<PagedCache> cache_;
};

}  // namespace conclave
