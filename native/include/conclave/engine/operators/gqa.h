#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "conclave/engine/norm.h"
#include "conclave/engine/operators/mixer.h"

namespace conclave {

// Grouped-query attention: some heads of one layer with their cache.
class GqaOperator final : public Mixer {
 public:
  GqaOperator(TensorLoader& loader, const GqaSpec& spec, const Rope& rope, const Share& share,
              const CacheOptions& cache, bool output_bias);

  void TakeCache(Backend& backend) override;
  // Writes the rows' keys and values into the cache.
  void Forward(Backend& backend, const StepRows& where, const Tensor& input,
               const Tensor& output) override;

  uint64_t weight_bytes() const override;
  uint64_t cache_bytes() const override { return cache_bytes_; }
  static uint64_t SourceBytes(const GqaSpec& spec);
  // Bytes that the cache of a share takes, beside weights of a format.
  static uint64_t CacheBytes(const Backend& backend, const GqaSpec& spec, const Share& share,
                             const CacheOptions& cache, WeightsFormat format);

 private:
  Rope rope_;
  AttentionParams params_;
  bool norm_per_head_;
  float clip_;
  MatrixPtr q_, k_, v_, o_;
  VectorPtr q_bias_, k_bias_, v_bias_, o_bias_;  // null: none
  std::optional<Norm> q_norm_, k_norm_;
  KvCacheShape cache_shape_;
  KvType cache_type_;
  uint64_t cache_bytes_;
  std::unique_ptr<PagedCache> cache_;
};

}  // namespace conclave
