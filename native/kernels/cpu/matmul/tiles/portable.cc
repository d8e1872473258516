// For any CPU, with its 16 or more registers of 4 floats: tiles of up to 6 rows by 8. Arithmetic is
// f32 for all 16-bit formats, which is exact for their products.

#include "kernels/cpu/simd/portable.h"
// The tiles are written over the Simd above.
#include "kernels/cpu/matmul/tiles/activation_simd.h"
#include "kernels/cpu/matmul/tiles/nibbles.h"
#include "kernels/cpu/matmul/tiles/simd.h"

namespace conclave {
namespace {

constexpr int kFloatRows = 6;
constexpr int kQ8Rows = 2;

// Signed bytes, multiplied as the even and the odd ones of 16-bit lanes. Sums of two products stay
// below 2^15, as quantised values lie within [-127, 127].
struct PairDot {
  using Short = int16_t __attribute__((vector_size(16)));
  struct Weights {
    explicit CONCLAVE_INLINE Weights(Simd::Int w) : even(Even(w)), odd(Odd(w)) {}
    Short even;
    Short odd;
  };
  static CONCLAVE_INLINE Short Even(Simd::Int bytes) { return (Short(bytes) << 8) >> 8; }
  static CONCLAVE_INLINE Short Odd(Simd::Int bytes) { return Short(bytes) >> 8; }
  static CONCLAVE_INLINE Simd::Int Start(const void* /*offset*/) { return Simd::ZeroInt(); }
  static CONCLAVE_INLINE Simd::Int Add(Simd::Int sum, const Weights& w, Simd::Int x) {
    const auto pairs = Simd::Int(w.even * Even(x) + w.odd * Odd(x));
    return sum + ((pairs << 16) >> 16) + (pairs >> 16);
  }
};

struct NibbleDot {
  using Sum = Simd::Int;
  static CONCLAVE_INLINE Sum Zero() { return Simd::ZeroInt(); }
  static CONCLAVE_INLINE Simd::Int Low(Simd::Int codes) { return codes & 0x0f0f0f0f; }
  static CONCLAVE_INLINE Simd::Int High(Simd::Int codes) { return (codes >> 4) & 0x0f0f0f0f; }
  static CONCLAVE_INLINE Simd::Int Lookup(const uint8_t* table, Simd::Int codes) {
    using Bytes = uint8_t __attribute__((vector_size(16)));
    auto bytes = Bytes(codes);
    for (int i = 0; i < 16; ++i) bytes[i] = table[bytes[i]];
    return Simd::Int(bytes);
  }
  static CONCLAVE_INLINE Sum Add(Sum sum, Simd::Int w, Simd::Int x) {
    return PairDot::Add(sum, PairDot::Weights(w), x);
  }
  static CONCLAVE_INLINE Simd::Int Widen(Sum sum, Simd::Int total) { return total + sum; }
};

void EncodeRounded(const float* x, int64_t first, int64_t count, int64_t /*cols*/, uint8_t* row) {
  for (int64_t i = 0; i < count; ++i) {
    const float rounded = Bf16ToFloat(FloatToBf16(x[i]));
    std::memcpy(row + (first + i) * 4, &rounded, 4);
  }
}

template <typename Columns>
constexpr auto kMultiply = MultiplyByTiles<FloatKind<Columns, kFloatRows>>;

template <typename Codes>
constexpr auto kMultiplyNibbles = MultiplyByTiles<Q4Kind<NibbleDot, Codes, kQ8Rows>>;

}  // namespace

const TileKernels& PortableTiles() {
  static constexpr TileKernels kTiles = {
      .isa = Isa::kPortable,
      .panel_rows = 2 * Simd::kLanes,
      .formats = {{&kF32Panels, ActivationEncoding::kF32, kMultiply<F32Columns>},
                  {&kF16Panels, ActivationEncoding::kF32, kMultiply<F16Columns>},
                  {&kBf16Panels, ActivationEncoding::kF32, kMultiply<Bf16Columns>},
                  {&kBf16Panels, ActivationEncoding::kF32, kMultiply<Bf16Columns>},
                  {&kQ8Panels, ActivationEncoding::kQ8, MultiplyByTiles<Q8Kind<PairDot, kQ8Rows>>},
                  {&kQ4Panels, ActivationEncoding::kQ8, kMultiplyNibbles<SignedCodes>},
                  {&kQ4ZerosPanels, ActivationEncoding::kQ8, kMultiplyNibbles<CodesWithZeros>},
                  {&kQ4Panels, ActivationEncoding::kQ8, kMultiplyNibbles<E2M1Codes>}},
      .encode = {EncodeF32, nullptr, EncodeQ8},
      .activate = Activate,
  };
  return kTiles;
}

const TileKernels& PortableBf16Tiles() {
  static const TileKernels kTiles = [] {
    TileKernels tiles = PortableTiles();
    tiles.formats[static_cast<size_t>(TileFormat::kBf16)].activations =
        ActivationEncoding::kRounded;
    tiles.encode[static_cast<size_t>(ActivationEncoding::kRounded)] = EncodeRounded;
    return tiles;
  }();
  return kTiles;
}

}  // namespace conclave
