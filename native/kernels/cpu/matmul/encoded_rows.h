#pragma once

#include <array>
#include <cstdint>

#include "conclave/base/thread_pool.h"
#include "kernels/cpu/matmul/aligned_buffer.h"
#include "kernels/cpu/matmul/tile.h"

namespace conclave {

// Bytes between rows of `cols` encoded activations: whole cache lines, and an odd number of them,
// so that the rows of a tile fall into different cache sets.
int64_t ActivationStride(ActivationEncoding encoding, int64_t cols);

// The activations of one call, in each of the encodings that its weights read. Reuses its memory
// between calls.
class EncodedRows {
 public:
  // input [rows, cols], f32. Forgets what was encoded before.
  void Reset(const TileKernels& tiles, const float* input, int64_t rows, int64_t cols);

  // Encodes, unless that is done already.
  void Require(ThreadPool& pool, ActivationEncoding encoding);

  const uint8_t* Row(ActivationEncoding encoding, int64_t row) const;
  int64_t Stride(ActivationEncoding encoding) const;

 private:
  const TileKernels* tiles_ = nullptr;
  const float* input_ = nullptr;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  std::array<bool, kActivationEncodings> done_{};
  std::array<AlignedBuffer, kActivationEncodings> buffers_;
};

}  // namespace conclave
