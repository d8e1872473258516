#pragma once

#include <memory>

#include "conclave/matmul.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/matmul_tile.h"

namespace conclave {

// The tiles of an instruction set for a CPU with these features, which may be fewer than this one
// has. Throws kUnsupported.
const TileKernels& TilesFor(Isa isa, const CpuFeatures& features);

std::unique_ptr<MatmulKernels> CreateMatmulKernels(const TileKernels& tiles);

}  // namespace conclave
