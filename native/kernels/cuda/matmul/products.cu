#include "kernels/cuda/matmul/products.h"

#include "conclave/base/expect.h"
#include "kernels/cuda/matmul/exact.cuh"
#include "kernels/cuda/matmul/tensor.cuh"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

// Blocks in y that a grid may have.
constexpr int64_t kMostTiles = 65535;

template <typename Element>
void Exactly(Stream& stream, const char* purpose, bool gated, int64_t tiles,
             const ProductArguments& p) {
  using Product = ExactProduct<Element, true>;
  const LaunchShape grid{.x = Parts(p.cols, Product::kCols), .y = tiles};
  if (gated) {
    Launch<MultiplyExactly<Element, true>>(stream, purpose, grid, Product::kThreads,
                                           Product::kSharedBytes, p);
  } else {
    Launch<MultiplyExactly<Element, false>>(stream, purpose, grid, Product::kThreads,
                                            ExactProduct<Element, false>::kSharedBytes, p);
  }
}

template <typename Tile, bool kGated, int kRows>
void OnTensorCores(Stream& stream, const char* purpose, int64_t tiles, const ProductArguments& p) {
  const int64_t cols = kGated ? p.output_stride : p.cols;
  Launch<MultiplyByTensorCores<Tile, kGated, kRows>>(
      stream, purpose, {.x = Parts(cols, kTileCols), .y = tiles}, kTileThreads,
      TensorProduct<Tile, kGated, kRows>::kSharedBytes, p);
}

template <typename Tile>
void OnTensorCores(Stream& stream, const char* purpose, bool gated, TileRows rows, int64_t tiles,
                   const ProductArguments& p) {
  // Codes need registers for their parts of a sum too.
  constexpr int kMany = static_cast<int>(Tile::kScaled ? TileRows::k32 : TileRows::k64);
  if (rows != TileRows::k16) {
    return gated ? OnTensorCores<Tile, true, kMany>(stream, purpose, tiles, p)
                 : OnTensorCores<Tile, false, kMany>(stream, purpose, tiles, p);
  }
  return gated ? OnTensorCores<Tile, true, 16>(stream, purpose, tiles, p)
               : OnTensorCores<Tile, false, 16>(stream, purpose, tiles, p);
}

}  // namespace

TileRows TileRowsFor(Storage storage, int64_t entries, int64_t groups) {
  if (IsExact(storage) || entries <= groups * 16) return TileRows::k16;
  return IsQuantised(storage) ? TileRows::k32 : TileRows::k64;
}

void Multiply(Stream& stream, const char* purpose, Storage storage, bool gated, TileRows rows,
              int64_t tiles, const ProductArguments& p) {
  Expect(tiles <= kMostTiles, purpose, "at most 65535 tiles of rows", tiles);
  switch (storage) {
    case Storage::kF32:
      return Exactly<float>(stream, purpose, gated, tiles, p);
    case Storage::kF16:
      return Exactly<F16>(stream, purpose, gated, tiles, p);
    case Storage::kWideBf16:
      return Exactly<Bf16>(stream, purpose, gated, tiles, p);
    case Storage::kBf16:
      return OnTensorCores<Bf16Tile>(stream, purpose, gated, rows, tiles, p);
    case Storage::kQ8:
      return OnTensorCores<CodeTile<Storage::kQ8>>(stream, purpose, gated, rows, tiles, p);
    case Storage::kQ4:
      return OnTensorCores<CodeTile<Storage::kQ4>>(stream, purpose, gated, rows, tiles, p);
    case Storage::kQ4Zeros:
      return OnTensorCores<CodeTile<Storage::kQ4Zeros>>(stream, purpose, gated, rows, tiles, p);
    case Storage::kQ4Float:
      return OnTensorCores<CodeTile<Storage::kQ4Float>>(stream, purpose, gated, rows, tiles, p);
  }
}

}  // namespace conclave::cuda
