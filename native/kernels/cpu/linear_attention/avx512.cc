#include "kernels/cpu/simd/avx512.h"
// The kernel is written over the Simd above.
#include "kernels/cpu/linear_attention/columns.h"

namespace conclave {

void LinearAttentionAvx512(const HeadRows& head) { AttendHead(head); }

}  // namespace conclave
