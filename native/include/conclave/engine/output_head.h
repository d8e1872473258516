#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "conclave/base/buffer.h"
#include "conclave/engine/compute.h"
#include "conclave/engine/layer_slice.h"
#include "conclave/engine/profile.h"
#include "conclave/engine/step.h"

namespace conclave {

// Final norm, head and sampling.
class OutputHead {
 public:
  OutputHead(TensorLoader& loader, const ModelSpec& spec);

  // Results for the wanted rows of x [rows, H], in order.
  StepOutput Forward(Compute& compute, Profile& profile, std::span<const LogitsRow> wanted,
                     const float* x);

  uint64_t weight_bytes() const {
    return weight_.bytes() + (norm_.size() + bias_.size()) * sizeof(float);
  }
  static uint64_t SourceBytes(const ModelSpec& spec);

 private:
  // Results of wanted rows that fit into memory at once.
  void ForwardPart(Compute& compute, Profile& profile, std::span<const LogitsRow> wanted,
                   const float* x, std::span<LogitsResult> results);

  int64_t hidden_;
  int64_t vocab_;
  std::vector<float> norm_;
  float epsilon_;
  PackedMatrix weight_;
  std::vector<float> bias_;
  float multiplier_;
  Buffer<float> rows_;    // [part, H]
  Buffer<float> logits_;  // [part, V]
};

}  // namespace conclave
