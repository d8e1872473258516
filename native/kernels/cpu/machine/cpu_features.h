#pragma once

#include <vector>

#include "kernels/cpu/matmul/matmul.h"

namespace conclave {

// Instruction sets of this CPU that kernels are written for, as the operating system lets them be
// used.
struct CpuFeatures {
  bool avx2 = false;    // AVX2, FMA and F16C
  bool avx512 = false;  // AVX-512 F, BW, VL and DQ, and avx2
  bool avx512_bf16 = false;
  bool avx512_vnni = false;
  // avx512_bf16, and its dot product does more per cycle than two f32 multiply-adds. On AMD (Zen 4,
  // 5) it does twice as much; on Intel (Sapphire Rapids) half as much, measured: 0.5 against 2
  // instructions of 512 bits per cycle.
  bool fast_bf16_dot = false;
};

CpuFeatures DetectCpuFeatures();

}  // namespace conclave
