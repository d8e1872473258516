#pragma once

#include <cstdint>
#include <vector>

#include "conclave/backend/weights.h"
#include "conclave/base/matrix_source.h"

namespace conclave {

// The table of a HostBackend, in the element type of the checkpoint, or in bf16 where that is asked
// for: a step never waits for the disk.
class HostEmbedding final : public Embedding {
 public:
  HostEmbedding(MatrixSource& source, WeightsFormat format);

  size_t bytes() const override { return rows_.size(); }
  // [H] in f32.
  void Row(int64_t token, float* output) const;

 private:
  SourceType type_;
  int64_t width_;
  std::vector<uint8_t> rows_;
};

}  // namespace conclave
