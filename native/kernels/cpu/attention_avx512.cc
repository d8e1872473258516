#include "kernels/cpu/simd_avx512.h"
// The kernel is written over the Simd above.
#include "kernels/cpu/attention_tile.h"

namespace conclave {

const AttentionKernel& Avx512AttentionKernel(bool bf16) {
  static constexpr AttentionKernel kF32 = {PackF32, Segment<F32Lanes>, Merge, Finish};
  static constexpr AttentionKernel kBf16 = {PackF32, Segment<Bf16Lanes>, Merge, Finish};
  return bf16 ? kBf16 : kF32;
}

}  // namespace conclave
