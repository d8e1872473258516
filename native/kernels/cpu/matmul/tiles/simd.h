#pragma once

// Tiles over the `Simd` of the including file; everything has internal linkage, so that no code of
// one instruction set is linked into another's. A panel is two vectors wide.

#include <cstdint>

#include "kernels/cpu/matmul/tile.h"

namespace conclave {
namespace {

#define CONCLAVE_INLINE __attribute__((always_inline)) inline

// Two columns of a panel; Load widens vector `half` (0, 1) of one of them (kOdd) to f32.
struct F32Columns {
  static constexpr int64_t kPairBytes = Simd::kLanes * 16;
  template <int kOdd>
  static CONCLAVE_INLINE Simd::Float Load(const uint8_t* pair, int half) {
    return Simd::Load(pair + (kOdd * 2 + half) * Simd::kLanes * 4);
  }
};

struct F16Columns {
  static constexpr int64_t kPairBytes = Simd::kLanes * 8;
  template <int kOdd>
  static CONCLAVE_INLINE Simd::Float Load(const uint8_t* pair, int half) {
    return Simd::LoadF16(pair + (kOdd * 2 + half) * Simd::kLanes * 2);
  }
};

struct Bf16Columns {
  static constexpr int64_t kPairBytes = Simd::kLanes * 8;
  template <int kOdd>
  static CONCLAVE_INLINE Simd::Float Load(const uint8_t* pair, int half) {
    const Simd::Float both = Simd::Load(pair + half * Simd::kLanes * 4);
    return kOdd != 0 ? Simd::SecondOfPair(both) : Simd::FirstOfPair(both);
  }
};

// Rows of activations at one column. Three rows share a pointer, to fit the registers.
template <int kRows>
struct RowPointers {
  static constexpr int kBases = (kRows + 2) / 3;
  const uint8_t* base[kBases];
  int64_t stride;

  CONCLAVE_INLINE RowPointers(const uint8_t* first, int64_t row_stride) : stride(row_stride) {
    for (int i = 0; i < kBases; ++i) base[i] = first + i * 3 * row_stride;
  }
  CONCLAVE_INLINE const uint8_t* operator[](int row) const {
    return base[row / 3] + row % 3 * stride;
  }
  CONCLAVE_INLINE void Advance(int64_t bytes) {
    for (int i = 0; i < kBases; ++i) base[i] += bytes;
  }
};

// Columns [begin, end) of some rows of a product, begin and end multiples of kColumnGroup.
struct TileBlock {
  const uint8_t* weights;      // of column begin
  const uint8_t* activations;  // of the first row
  int64_t activation_stride;   // bytes
  int64_t cols;                // of the whole product
  int64_t begin;
  int64_t end;
  const float* before;  // sums of the columns before begin, of the first row
  int64_t before_stride;
  float* output;  // of the first row
  int64_t output_stride;
  const uint8_t* prefetch;  // weights to fetch into the L2 cache meanwhile
  int64_t prefetch_step;    // bytes from one fetch to the next; 0: none are wanted
};

// The sums of a tile, in registers: two vectors per row.
template <int kRows>
struct Sums {
  Simd::Float of[kRows][2];

  CONCLAVE_INLINE explicit Sums(const TileBlock& block) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) of[i][0] = of[i][1] = Simd::Zero();
    if (block.begin == 0) return;
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const float* in = block.before + i * block.before_stride;
      of[i][0] = Simd::Load(in);
      of[i][1] = Simd::Load(in + Simd::kLanes);
    }
  }
  CONCLAVE_INLINE void Store(const TileBlock& block) const {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      float* out = block.output + i * block.output_stride;
      Simd::Store(out, of[i][0]);
      Simd::Store(out + Simd::kLanes, of[i][1]);
    }
  }
};

// Fetches kBytes a round.
template <int64_t kBytes>
CONCLAVE_INLINE void Prefetch(const uint8_t*& p, int64_t step) {
#pragma GCC unroll 32
  for (int64_t at = 0; at < kBytes; at += 64, p += step) __builtin_prefetch(p, 0, 2);
}

// sums[i] += x[i] * w for one column.
template <typename Columns, int kOdd, int kRows>
CONCLAVE_INLINE void AddColumn(const uint8_t* pair, const RowPointers<kRows>& x, int64_t at,
                               Sums<kRows>& sums) {
  const Simd::Float w0 = Columns::template Load<kOdd>(pair, 0);
  const Simd::Float w1 = Columns::template Load<kOdd>(pair, 1);
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    const Simd::Float value = Simd::BroadcastFloat(x[i] + at);
    sums.of[i][0] = Simd::Fma(value, w0, sums.of[i][0]);
    sums.of[i][1] = Simd::Fma(value, w1, sums.of[i][1]);
  }
}

// sums[i] += x[i][k] * w[k] in f32, in ascending order of k.
template <typename Columns, int kRows, int64_t kPrefetchBytes>
void FloatTile(const TileBlock& block) {
  constexpr int kPairs = 2;  // of columns, each round
  const uint8_t* prefetch = block.prefetch;
  Sums<kRows> sums(block);
  RowPointers<kRows> x(block.activations + block.begin * 4, block.activation_stride);
  const uint8_t* pair = block.weights;
  const uint8_t* const end = pair + (block.end - block.begin) / 2 * Columns::kPairBytes;
  for (; pair != end; pair += kPairs * Columns::kPairBytes, x.Advance(kPairs * 8)) {
    Prefetch<kPrefetchBytes>(prefetch, block.prefetch_step);
#pragma GCC unroll 2
    for (int step = 0; step < kPairs; ++step) {
      AddColumn<Columns, 0>(pair + step * Columns::kPairBytes, x, step * 8, sums);
      AddColumn<Columns, 1>(pair + step * Columns::kPairBytes, x, step * 8 + 4, sums);
    }
  }
  sums.Store(block);
}

// Groups of int8: dots are exact, then sums[i] += dot * (scale of x * scale of w), in ascending
// order of groups.
template <typename Dot, int kRows, int64_t kPrefetchBytes>
void Q8Tile(const TileBlock& block) {
  const uint8_t* prefetch = block.prefetch;
  constexpr int64_t kVector = Simd::kLanes * 4;  // bytes
  constexpr int64_t kScales = 2 * Simd::kLanes * kColumnGroup;
  constexpr int64_t kGroupBytes = kScales + 2 * kVector;
  Sums<kRows> sums(block);
  const uint8_t* const scales = block.activations + block.cols + block.begin / kColumnGroup * 4;
  const int64_t to_offsets = block.cols / kColumnGroup * 4;
  RowPointers<kRows> x(block.activations + block.begin, block.activation_stride);
  RowPointers<kRows> x_scale(scales, block.activation_stride);
  const uint8_t* weights = block.weights;
  for (int64_t group = block.begin; group != block.end; group += kColumnGroup) {
    Prefetch<kPrefetchBytes>(prefetch, block.prefetch_step);
    Simd::Int dots[kRows][2];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) dots[i][0] = dots[i][1] = Dot::Start(x_scale[i] + to_offsets);
#pragma GCC unroll 8
    for (int step = 0; step < 8; ++step) {
      const typename Dot::Weights w0(Simd::LoadInt(weights + step * 2 * kVector));
      const typename Dot::Weights w1(Simd::LoadInt(weights + step * 2 * kVector + kVector));
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const Simd::Int value = Simd::BroadcastInt(x[i] + step * 4);
        dots[i][0] = Dot::Add(dots[i][0], w0, value);
        dots[i][1] = Dot::Add(dots[i][1], w1, value);
      }
    }
    const Simd::Float s0 = Simd::Load(weights + kScales);
    const Simd::Float s1 = Simd::Load(weights + kScales + kVector);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const Simd::Float scale = Simd::BroadcastFloat(x_scale[i]);
      sums.of[i][0] = Simd::Fma(Simd::ToFloat(dots[i][0]), scale * s0, sums.of[i][0]);
      sums.of[i][1] = Simd::Fma(Simd::ToFloat(dots[i][1]), scale * s1, sums.of[i][1]);
    }
    weights += kGroupBytes;
    x.Advance(kColumnGroup);
    x_scale.Advance(4);
  }
  sums.Store(block);
}

using TileFunction = void (*)(const TileBlock& block);

// A kind of tiles says how many rows fit the registers, how many columns go through all tiles
// before the next ones do (so that their weights stay in the L1 cache), how many bytes of a panel a
// group of 32 columns takes, and what the tiles are: kStream reads weights from memory and fetches
// as many ahead; kTile reads what Prepare made of a block of columns, and two of them fetch as many
// as a block has.
template <typename Columns, int kRows>
struct FloatKind {
  static constexpr int kMostRows = kRows;
  static constexpr int64_t kBlockColumns = 128;
  static constexpr int64_t kColumnBytes = Columns::kPairBytes / 2;
  static constexpr int64_t kGroupBytes = kColumnGroup * kColumnBytes;
  static constexpr int64_t kScratchBytes = kBlockColumns * 2 * Simd::kLanes * 4;
  template <int kTileRows>
  static constexpr TileFunction kStream = FloatTile<Columns, kTileRows, 4 * kColumnBytes>;
  template <int kTileRows>
  static constexpr TileFunction kTile = FloatTile<F32Columns, kTileRows, 2 * kColumnBytes>;

  // Widens to f32 once for all tiles.
  static const uint8_t* Prepare(const uint8_t* weights, int64_t cols, uint8_t* scratch) {
    if constexpr (kColumnBytes == F32Columns::kPairBytes / 2) return weights;
    auto* out = reinterpret_cast<float*>(scratch);
    for (int64_t k = 0; k < cols; k += 2, out += 4 * Simd::kLanes) {
      const uint8_t* pair = weights + k * kColumnBytes;
      for (int half = 0; half < 2; ++half) {
        Simd::Store(out + half * Simd::kLanes, Columns::template Load<0>(pair, half));
        Simd::Store(out + (2 + half) * Simd::kLanes, Columns::template Load<1>(pair, half));
      }
    }
    return scratch;
  }
};

template <typename Dot, int kRows>
struct Q8Kind {
  static constexpr int kMostRows = kRows;
  static constexpr int64_t kBlockColumns = 512;
  static constexpr int64_t kGroupBytes = 2 * Simd::kLanes * (kColumnGroup + 4);
  static constexpr int64_t kScratchBytes = 1;
  template <int kTileRows>
  static constexpr TileFunction kStream = Q8Tile<Dot, kTileRows, kGroupBytes>;
  template <int kTileRows>
  static constexpr TileFunction kTile = Q8Tile<Dot, kTileRows, kGroupBytes / 2>;

  static const uint8_t* Prepare(const uint8_t* weights, int64_t /*cols*/, uint8_t* /*scratch*/) {
    return weights;
  }
};

template <typename Kind>
struct TileTable {
  TileFunction stream[Kind::kMostRows + 1];
  TileFunction tile[Kind::kMostRows + 1];

  template <int kRows>
  constexpr void Fill() {
    stream[kRows] = Kind::template kStream<kRows>;
    tile[kRows] = Kind::template kTile<kRows>;
    if constexpr (kRows > 1) Fill<kRows - 1>();
  }
  constexpr TileTable() : stream{}, tile{} { Fill<Kind::kMostRows>(); }
};

// How far ahead of its use streamed weights are fetched: several times what arrives during one
// access to memory.
constexpr int64_t kFetchAhead = 8192;

// Few rows go through the panel at once, as fast as memory gives it. More go through it block by
// block of columns, in tiles of nearly equal height, while the next panel is fetched into the L2
// cache. Both add in the same order.
template <typename Kind>
void MultiplyByTiles(const TileArgs& args) {
  static constexpr TileTable<Kind> kTable;
  TileBlock block = {.weights = args.panel,
                     .activations = args.activations,
                     .activation_stride = args.activation_stride,
                     .cols = args.cols,
                     .begin = 0,
                     .end = args.cols,
                     .before = args.partial,
                     .before_stride = args.partial_stride,
                     .output = args.output,
                     .output_stride = args.output_stride,
                     .prefetch = args.panel + kFetchAhead,
                     .prefetch_step = 64};
  if (args.rows <= Kind::kMostRows) {
    if (args.rows > 0) kTable.stream[args.rows](block);
    return;
  }
  alignas(64) uint8_t scratch[Kind::kScratchBytes];
  const int64_t tiles = (args.rows + Kind::kMostRows - 1) / Kind::kMostRows;
  for (; block.begin < args.cols; block.begin = block.end) {
    block.end = block.begin + Kind::kBlockColumns < args.cols ? block.begin + Kind::kBlockColumns
                                                              : args.cols;
    const int64_t offset = block.begin / kColumnGroup * Kind::kGroupBytes;
    const int64_t bytes = (block.end - block.begin) / kColumnGroup * Kind::kGroupBytes;
    block.weights = Kind::Prepare(args.panel + offset, block.end - block.begin, scratch);
    float* const output = block.end == args.cols ? args.output : args.partial;
    block.output_stride = block.end == args.cols ? args.output_stride : args.partial_stride;
    int64_t row = 0;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t rows = (args.rows - row + tiles - tile - 1) / (tiles - tile);
      const bool fetch = args.next_panel != nullptr && tile < 2;
      block.prefetch = fetch ? args.next_panel + offset + bytes / 2 * tile : block.weights;
      block.prefetch_step = fetch ? 64 : 0;
      block.activations = args.activations + row * args.activation_stride;
      block.before = args.partial + row * args.partial_stride;
      block.output = output + row * block.output_stride;
      kTable.tile[rows](block);
      row += rows;
    }
  }
}

}  // namespace
}  // namespace conclave
