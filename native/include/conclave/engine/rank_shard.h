#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "conclave/engine/expert_bank.h"
#include "conclave/engine/layer_slice.h"

namespace conclave {

// RankShard in native.ts. Runs on the executor.
class RankShard {
 public:
  RankShard(std::shared_ptr<Backend> backend, std::shared_ptr<const WeightStore> store,
            const RankSlice& slice, const CacheOptions& cache, LoadMonitor& monitor);

  // Partial sums, [row_count, hidden]. Attention, or another mixer, reads no experts of `rows`; Ffn
  // adds those that they name, of `bank`, which may be null where they name none.
  EncodedTotals Attention(const ExpertRows& rows, const SequenceRows& where);
  EncodedTotals Ffn(const ExpertRows& rows, ExpertBank* bank);

  // Weights and cache.
  uint64_t bytes() const { return bytes_; }

 private:
  std::vector<BlockSlice>& Layer(int layer);
  std::shared_ptr<Backend> backend_;
  std::shared_ptr<const WeightStore> store_;
  RankSlice slice_;
  CacheOptions cache_;
  int64_t hidden_;
  std::vector<std::vector<BlockSlice>> layers_;
  uint64_t bytes_ = 0;
};

}  // namespace conclave
