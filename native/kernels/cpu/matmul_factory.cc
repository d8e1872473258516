#include "kernels/cpu/matmul_factory.h"

#include "conclave/error.h"

namespace conclave {

const TileKernels& TilesFor(Isa isa, const CpuFeatures& /*features*/) {
  switch (isa) {
    case Isa::kPortable:
      return PortableTiles();
    case Isa::kAvx2:
    case Isa::kAvx512:
      break;
  }
  throw Error(ErrorCode::kUnsupported, "isa: unknown instruction set");
}

}  // namespace conclave
