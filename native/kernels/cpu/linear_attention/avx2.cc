#include "kernels/cpu/simd/avx2.h"
// The kernel is written over the Simd above.
#include "kernels/cpu/linear_attention/columns.h"

namespace conclave {

void LinearAttentionAvx2(const HeadRows& head) { AttendHead(head); }

}  // namespace conclave
