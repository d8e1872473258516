#pragma once

#include "conclave/engine/operators/mixer.h"
#include "conclave/engine/operators/recurrent/convolution.h"
#include "conclave/engine/operators/recurrent/fixed_states.h"

namespace conclave {

// A gated short convolution: some columns of one layer, with the last rows that they have seen.
class ShortConvolutionOperator final : public Mixer {
 public:
  ShortConvolutionOperator(TensorLoader& loader, const ShortConvolutionSpec& spec,
                           const FixedCacheSpec& states, const Share& share,
                           const CacheOptions& cache, bool output_bias);

  void TakeCache(Backend& backend) override { states_.Take(backend); }
  void Forward(Backend& backend, MixerStep& step, const Tensor& input,
               const Tensor& output) override;

  uint64_t weight_bytes() const override;
  uint64_t cache_bytes() const override { return states_.bytes(); }
  static uint64_t SourceBytes(const ShortConvolutionSpec& spec);

 private:
  MatrixPtr input_gate_, output_gate_, value_, output_;
  VectorPtr input_gate_bias_, output_gate_bias_, value_bias_, output_bias_;  // null: none
  Convolution convolution_;
  FixedStates states_;
};

}  // namespace conclave
