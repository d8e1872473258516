#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "conclave/base/activation.h"
#include "conclave/engine/compute.h"
#include "conclave/engine/layer_slice.h"

namespace conclave {

// RankShard in native.ts. Runs on the executor.
class RankShard {
 public:
  RankShard(std::shared_ptr<Compute> compute, std::shared_ptr<const WeightStore> store,
            const RankSlice& slice, const CacheOptions& cache, LoadMonitor& monitor);

  std::vector<uint8_t> Attention(int layer, ActivationType type, std::span<const uint8_t> rows,
                                 const SequenceRows& where, ActivationType partial_type);
  std::vector<uint8_t> Ffn(int layer, ActivationType type, std::span<const uint8_t> rows,
                           ActivationType partial_type);

  // Weights and cache.
  uint64_t bytes() const { return bytes_; }

 private:
  LayerSlice& Layer(int layer);
  // Decodes `rows` into input_ and returns how many there are.
  int64_t Decode(ActivationType type, std::span<const uint8_t> rows);
  std::vector<uint8_t> Encode(ActivationType type, int64_t rows) const;

  std::shared_ptr<Compute> compute_;
  std::shared_ptr<const WeightStore> store_;
  RankSlice slice_;
  CacheOptions cache_;
  int64_t hidden_;
  std::vector<std::unique_ptr<LayerSlice>> layers_;
  uint64_t bytes_ = 0;
  SliceScratch scratch_;
  Buffer<float> input_, output_;
};

}  // namespace conclave
