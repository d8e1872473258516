#pragma once

#include <memory>

#include "conclave/engine/norm.h"
#include "conclave/engine/operators/mixer.h"
#include "conclave/engine/operators/recurrent/convolution.h"
#include "conclave/engine/operators/recurrent/fixed_states.h"

namespace conclave {

// Linear attention: some key heads of one layer, with the value heads that read them, the last rows
// of their convolutions, and their states.
class LinearAttentionOperator final : public Mixer {
 public:
  LinearAttentionOperator(TensorLoader& loader, const LinearAttentionSpec& spec,
                          const FixedCacheSpec& states, const Share& share,
                          const CacheOptions& cache, bool output_bias);

  void TakeCache(Backend& backend) override { states_.Take(backend); }
  void Forward(Backend& backend, MixerStep& step, const Tensor& input,
               const Tensor& output) override;

  uint64_t weight_bytes() const override;
  uint64_t cache_bytes() const override { return states_.bytes(); }
  static uint64_t SourceBytes(const LinearAttentionSpec& spec);

 private:
  // A projection, and the convolution over its rows.
  struct Stream {
    MatrixPtr weight;
    VectorPtr bias;  // null: none
    Convolution convolution;
  };

  void LoadDecay(TensorLoader& loader, const LinearAttentionSpec& spec, Range heads);
  static Stream LoadStream(TensorLoader& loader, const LinearSpec& linear,
                           const ConvolutionSpec& convolution, Range part);
  void Normalise(Backend& backend, const VectorPtr& lengths, const Tensor& x) const;
  // What a matrix reads: the input, or its product with `down`.
  static Tensor Reduced(Backend& backend, const MatrixPtr& down, const Tensor& input);
  // What each row writes of its values, and what it leaves of the state.
  void Steps(Backend& backend, const Tensor& input, const Tensor& write, const Tensor& decay) const;
  void GateAndNormalise(Backend& backend, const Tensor& gates, const Tensor& y) const;

  LinearAttentionParams params_;
  Stream q_, k_, v_;
  VectorPtr q_lengths_, k_lengths_;  // null: q and k are not normalised
  float scale_;
  MatrixPtr write_;
  WriteGate write_gate_;
  MatrixPtr decay_down_, gate_down_;               // null: none
  MatrixPtr decay_;                                // null: by what is written
  float decay_bound_;                              // 0: none
  VectorPtr write_bias_, decay_bias_, gate_bias_;  // null: none
  VectorPtr step_bias_;                            // as many as decays
  VectorPtr decay_rate_;  // as many: -e^rate, or e^rate where there is a bound
  VectorPtr bounds_;      // as many decay_bound_; null: none
  float step_min_;
  float step_max_;
  VectorPtr skip_;  // [value width]; null: none
  MatrixPtr gate_, output_;
  GateFunction gate_function_;
  bool norm_after_gate_;
  int64_t norm_width_;
  float norm_epsilon_;
  VectorPtr norm_weight_;        // of all heads; ones where the norm has weights of its own
  VectorPtr norm_parts_weight_;  // [norm width]
  VectorPtr output_bias_;        // null: none
  FixedStates states_;
};

}  // namespace conclave
