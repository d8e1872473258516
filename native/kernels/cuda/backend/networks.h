#pragma once

#include <span>
#include <vector>

#include "conclave/backend/operations.h"
#include "kernels/cuda/matmul/products.h"

namespace conclave::cuda {

// Rows as products read them, in device memory: f32, or bf16 with rows of a multiple of 8 elements.
struct ProductInput {
  const void* rows = nullptr;
  int64_t stride = 0;
  const int32_t* entry_rows = nullptr;  // row of each entry; null: entry e reads row e
  const float* sums = nullptr;          // of groups of 32 columns, where matrices have zeros
  int64_t sum_stride = 0;
};

// Networks whose matrices are stored alike and have the same shapes, and the entries that go
// through each.
struct NetworkBatch {
  const CudaFfn* first;  // says how they are stored
  int64_t entries;
  TileRows tile_rows;
  int64_t tile_count;
  const GroupTile* tiles = nullptr;       // in device memory; null: all entries go through `first`
  const GroupMatrices* hidden = nullptr;  // gate and up of each group
  const GroupMatrices* gate = nullptr;    // where gate and up are stored differently
  const GroupMatrices* down = nullptr;
};

GroupMatrices HiddenMatrices(const CudaFfn& ffn);
GroupMatrices GateMatrices(const CudaFfn& ffn);
GroupMatrices DownMatrices(const CudaFfn& ffn);

// What gate and up read, by what InputOf is asked for.
Storage StorageOfInput(const CudaFfn& ffn);

// Cuts entries [begin, end) of a group into tiles.
void AppendTiles(int32_t group, int64_t begin, int64_t end, TileRows rows,
                 std::vector<GroupTile>* tiles);

// Whether networks can be in one batch.
bool Alike(const CudaFfn& a, const CudaFfn& b);

}  // namespace conclave::cuda
