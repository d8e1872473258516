#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "conclave/engine/norm.h"
#include "conclave/model/spec.h"

namespace conclave {

// Picks the experts of each row of one layer.
class ExpertGate {
 public:
  // Throws kUnsupported for more experts than the backend's gate takes.
  ExpertGate(TensorLoader& loader, const MoeSpec& spec);

  int experts() const { return experts_; }
  int top_k() const { return params_.top_k; }

  // Whether experts depend on tokens.
  bool reads_tokens() const { return !table_.empty(); }

  // ids, weights [rows, top_k] of input [rows, H], or of what the gate's own norm makes of the
  // residual stream, on the host. tokens [rows], where it reads them; ids from experts() on are of
  // experts that give what they read. Throws kNonFinite when a row's logits have a NaN or an
  // infinity.
  void Forward(Backend& backend, const Tensor& input, const Tensor& residual,
               std::span<const int32_t> tokens, std::vector<int32_t>& ids,
               std::vector<float>& weights) const;

  uint64_t weight_bytes() const {
    return weight_->bytes() + BytesOf(bias_) + BytesOf(correction_) + BytesOf(scales_) +
           (norm_ ? norm_->bytes() : 0);
  }
  static uint64_t SourceBytes(const GateSpec& spec);

 private:
  int experts_;
  MatrixPtr weight_;
  VectorPtr bias_;        // null: none
  VectorPtr correction_;  // null: none
  VectorPtr scales_;      // null: none
  std::optional<Norm> norm_;
  std::vector<int32_t> table_;  // [V, top_k]; empty: none
  GateParams params_;           // points to the vectors
};

}  // namespace conclave
