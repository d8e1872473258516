#include "kernels/cpu/matmul/factory.h"

#include <string>

#include "conclave/base/error.h"

namespace conclave {
namespace {

#if defined(__x86_64__)
TileKernels Avx512With(bool vnni, bool bf16_dot) {
  TileKernels tiles = Avx512Tiles();
  if (vnni) UseAvx512Vnni(tiles);
  if (bf16_dot) {
    tiles.formats[static_cast<size_t>(TileFormat::kBf16)] = Avx512Bf16Tile();
    tiles.encode[static_cast<size_t>(ActivationEncoding::kBF16)] = Avx512Bf16Encoder();
  }
  return tiles;
}

const TileKernels& Avx512For(bool vnni, bool bf16_dot) {
  static const TileKernels kVariants[2][2] = {{Avx512With(false, false), Avx512With(false, true)},
                                              {Avx512With(true, false), Avx512With(true, true)}};
  return kVariants[vnni][bf16_dot];
}
#endif

[[noreturn]] void ThrowUnsupported(const char* isa) {
  throw Error(ErrorCode::kUnsupported, std::string("isa: this CPU or build has no ") + isa);
}

}  // namespace

const TileKernels& TilesFor(Isa isa, [[maybe_unused]] const CpuFeatures& features,
                            Bf16Pairs pairs) {
  switch (isa) {
    case Isa::kPortable:
      return pairs == Bf16Pairs::kAlways ? PortableBf16Tiles() : PortableTiles();
    case Isa::kAvx2:
#if defined(__x86_64__)
      if (features.avx2 && pairs != Bf16Pairs::kAlways) return Avx2Tiles();
#endif
      ThrowUnsupported("AVX2");
    case Isa::kAvx512:
#if defined(__x86_64__)
      if (features.avx512 && pairs == Bf16Pairs::kWhereFast) {
        return Avx512For(features.avx512_vnni, features.fast_bf16_dot);
      }
      if (features.avx512_bf16) return Avx512For(features.avx512_vnni, true);
#endif
      ThrowUnsupported("AVX-512 (F, BW, VL, DQ)");
  }
  throw Error(ErrorCode::kInvalidArgument, "isa: unknown instruction set");
}

}  // namespace conclave
