#include "conclave/base/expect.h"
#include "kernels/cpu/machine/cpu_features.h"
#include "kernels/cpu/norm/kernel.h"
#include "kernels/cpu/ops.h"

namespace conclave {
namespace {

RmsNormKernel* KernelFor(Isa isa) {
  [[maybe_unused]] static const CpuFeatures features = DetectCpuFeatures();
#if defined(__x86_64__)
  if (isa == Isa::kAvx512 && features.avx512) return RmsNormAvx512;
  if (isa == Isa::kAvx2 && features.avx2) return RmsNormAvx2;
#endif
  if (isa != Isa::kPortable)
    throw Error(ErrorCode::kUnsupported, "norm: this CPU lacks the instruction set asked for");
  return RmsNormPortable;
}

}  // namespace

void RmsNorm(Isa isa, const float* input, const float* weight, float epsilon, int64_t rows,
             int64_t width, int64_t stride, float* output) {
  Expect(rows >= 0, "rows", "0 or more", rows);
  Expect(width >= 1, "width", "1 or more", width);
  Expect(rows <= 1 || stride >= width, "stride", "the width or more", stride);
  KernelFor(isa)(input, weight, epsilon, rows, width, stride, output);
}

}  // namespace conclave
