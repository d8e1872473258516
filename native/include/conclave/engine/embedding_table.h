#pragma once

#include <cstdint>
#include <memory>

#include "conclave/engine/layer_slice.h"

namespace conclave {

// The embedding [vocab, H], in memory as it is in the checkpoint: a step never waits for the disk,
// and what happens to the file later is no matter.
class EmbeddingTable {
 public:
  EmbeddingTable(TensorLoader& loader, const TensorRef& tensor);

  // One row in f32 [H], rounded to bf16 where the weights' format asks for it.
  void Row(int64_t token, float* output) const;

  uint64_t bytes() const { return bytes_; }

 private:
  SourceType type_;
  bool round_to_bf16_;
  int64_t width_;
  uint64_t bytes_;
  std::unique_ptr<uint8_t[]> rows_;
};

}  // namespace conclave
