#pragma once

#include <vector>

#include "conclave/matmul.h"

namespace conclave {

// Instruction sets of this CPU that kernels are written for, as the operating system lets them be used.
struct CpuFeatures {
  bool avx2 = false;    // AVX2, FMA and F16C
  bool avx512 = false;  // AVX-512 F, BW, VL and DQ, and avx2
  bool avx512_bf16 = false;
  bool avx512_vnni = false;
};

CpuFeatures DetectCpuFeatures();

}  // namespace conclave
