#include "kernels/cpu/simd/avx2.h"
// The kernel is written over the Simd above.
#include "kernels/cpu/attention/tile.h"

namespace conclave {

const AttentionKernel& Avx2AttentionKernel(bool bf16) {
  return bf16 ? kAttentionKernel<Bf16Lanes> : kAttentionKernel<F32Lanes>;
}

}  // namespace conclave
