#include "kernels/cpu/simd/avx512.h"
// The kernel is written over the Simd above.
#include "kernels/cpu/attention/tile.h"

namespace conclave {

const AttentionKernel& Avx512AttentionKernel(bool bf16) {
  return bf16 ? kAttentionKernel<Bf16Lanes> : kAttentionKernel<F32Lanes>;
}

}  // namespace conclave
