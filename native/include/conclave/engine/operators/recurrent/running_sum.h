#pragma once

#include "conclave/engine/operators/mixer.h"
#include "conclave/engine/operators/recurrent/fixed_states.h"

namespace conclave {

// Sums of a sequence's rows so far: some heads of one layer with their states.
class RunningSumOperator final : public Mixer {
 public:
  RunningSumOperator(TensorLoader& loader, const RunningSumSpec& spec, const FixedCacheSpec& states,
                     const Share& share, const CacheOptions& cache, bool output_bias);

  void TakeCache(Backend& backend) override { states_.Take(backend); }
  void Forward(Backend& backend, MixerStep& step, const Tensor& input,
               const Tensor& output) override;

  uint64_t weight_bytes() const override;
  uint64_t cache_bytes() const override { return states_.bytes(); }
  static uint64_t SourceBytes(const RunningSumSpec& spec);

 private:
  MatrixPtr value_, output_;
  VectorPtr value_bias_, output_bias_;  // null: none
  FixedStates states_;
};

}  // namespace conclave
