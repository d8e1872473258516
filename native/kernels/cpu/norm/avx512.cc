#include "kernels/cpu/simd/avx512.h"
// The kernel is written over the Simd above.
#include "kernels/cpu/norm/row.h"

namespace conclave {

void RmsNormAvx512(const float* input, const float* weight, float epsilon, int64_t rows,
                   int64_t width, int64_t stride, float* output) {
  RmsNormRows(input, weight, epsilon, rows, width, stride, output);
}

}  // namespace conclave
