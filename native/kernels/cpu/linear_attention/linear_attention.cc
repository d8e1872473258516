#include "kernels/cpu/linear_attention/linear_attention.h"

#include "conclave/base/error.h"
#include "kernels/cpu/machine/cpu_features.h"

namespace conclave {
namespace {

LinearAttentionKernel* KernelFor(Isa isa) {
  [[maybe_unused]] static const CpuFeatures features = DetectCpuFeatures();
#if defined(__x86_64__)
  if (isa == Isa::kAvx512 && features.avx512) return LinearAttentionAvx512;
  if (isa == Isa::kAvx2 && features.avx2) return LinearAttentionAvx2;
#endif
  if (isa != Isa::kPortable) {
    throw Error(ErrorCode::kUnsupported,
                "linear attention: this CPU lacks the instruction set asked for");
  }
  return LinearAttentionPortable;
}

}  // namespace

void LinearAttendHead(Isa isa, const HeadRows& head) { KernelFor(isa)(head); }

}  // namespace conclave
