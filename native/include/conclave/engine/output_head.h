#pragma once

#include <cstdint>
#include <span>

#include "conclave/engine/norm.h"
#include "conclave/engine/operators/stream_mix.h"
#include "conclave/engine/profile.h"
#include "conclave/engine/step.h"

namespace conclave {

// Final norm, head and sampling.
class OutputHead {
 public:
  OutputHead(TensorLoader& loader, const ModelSpec& spec);

  // Results for the wanted rows of x, the residual, in order.
  StepOutput Forward(Backend& backend, Profile& profile, std::span<const LogitsRow> wanted,
                     const Tensor& x) const;

  uint64_t weight_bytes() const {
    return weight_->bytes() + norm_.bytes() + BytesOf(bias_) + (mix_ ? mix_->weight_bytes() : 0);
  }
  static uint64_t SourceBytes(const ModelSpec& spec);

 private:
  // Results of wanted rows that fit into memory at once.
  void ForwardPart(Backend& backend, Profile& profile, std::span<const LogitsRow> wanted,
                   const Tensor& x, std::span<LogitsResult> results) const;

  std::optional<StreamMix> mix_;  // of several streams
  Norm norm_;
  MatrixPtr weight_;  // [V, H]
  VectorPtr bias_;    // null: none
  float multiplier_;
  float softcap_;  // 0: none
};

}  // namespace conclave
