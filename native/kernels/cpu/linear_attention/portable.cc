#include "kernels/cpu/simd/portable.h"
// The kernel is written over the Simd above.
#include "kernels/cpu/linear_attention/columns.h"

namespace conclave {

void LinearAttentionPortable(const HeadRows& head) { AttendHead(head); }

}  // namespace conclave
