#pragma once

#include <memory>

#include "kernels/cpu/machine/cpu_features.h"
#include "kernels/cpu/matmul/matmul.h"
#include "kernels/cpu/matmul/tile.h"

namespace conclave {

// The tiles of an instruction set for a CPU with these features, which may be fewer than this one
// has. Throws kUnsupported.
const TileKernels& TilesFor(Isa isa, const CpuFeatures& features, Bf16Pairs pairs);

std::unique_ptr<MatmulKernels> CreateMatmulKernels(const TileKernels& tiles);

}  // namespace conclave
