#pragma once

#include "conclave/engine/norm.h"
#include "conclave/engine/operators/mixer.h"
#include "conclave/engine/operators/recurrent/convolution.h"
#include "conclave/engine/operators/recurrent/fixed_states.h"

namespace conclave {

// A selective state space each of whose columns has decays of its own: whole, as its steps depend
// on all columns.
class SelectiveScanOperator final : public Mixer {
 public:
  SelectiveScanOperator(TensorLoader& loader, const SelectiveScanSpec& spec,
                        const FixedCacheSpec& states, const CacheOptions& cache, bool output_bias);

  void TakeCache(Backend& backend) override { states_.Take(backend); }
  void Forward(Backend& backend, MixerStep& step, const Tensor& input,
               const Tensor& output) override;

  uint64_t weight_bytes() const override;
  uint64_t cache_bytes() const override { return states_.bytes(); }
  static uint64_t SourceBytes(const SelectiveScanSpec& spec);

 private:
  MatrixPtr value_, gate_, step_down_, write_, read_, step_, output_;
  VectorPtr value_bias_, gate_bias_, output_bias_;  // null: none
  Convolution convolution_;
  Norm step_norm_, write_norm_, read_norm_;
  VectorPtr step_bias_;   // [width]
  VectorPtr decay_rate_;  // [width * states], -e^rate
  VectorPtr skip_;        // [width]
  FixedStates states_;
};

}  // namespace conclave
