#pragma once

#include "kernels/cuda/matmul/arguments.h"
#include "kernels/cuda/runtime/runtime.h"

namespace conclave::cuda {

// Entries that a block of a product takes; small ones where few rows share a matrix. The bits of a
// row are the same by any.
enum class TileRows { k16 = 16, k32 = 32, k64 = 64 };
TileRows TileRowsFor(Storage storage, int64_t entries, int64_t groups);

// Launches a product; `tiles`: how many. All matrices are stored alike.
void Multiply(Stream& stream, const char* purpose, Storage storage, bool gated, TileRows rows,
              int64_t tiles, const ProductArguments& arguments);

}  // namespace conclave::cuda
