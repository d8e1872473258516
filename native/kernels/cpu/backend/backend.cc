#include "kernels/cpu/backend.h"

#include "conclave/base/error.h"
#include "kernels/cpu/attention/kv_cache.h"
#include "kernels/cpu/backend/weights.h"
#include "kernels/cpu/machine/cpu_features.h"
#include "kernels/cpu/matmul/factory.h"

namespace conclave {

CpuBackend::CpuBackend(int threads, Isa isa, Bf16Pairs pairs)
    : CpuBackend(threads, TilesFor(isa, DetectCpuFeatures(), pairs)) {}

CpuBackend::CpuBackend(int threads, const TileKernels& tiles)
    : HostBackend(threads), isa_(tiles.isa), kernels_(CreateMatmulKernels(tiles)) {}

CpuBackend::~CpuBackend() = default;

Capabilities CpuBackend::capabilities() const {
  return {.name = IsaName(isa_),
          .formats = {WeightsFormat::kF32, WeightsFormat::kBF16, WeightsFormat::kQ8},
          .max_experts = kMaxExperts,
          .max_top_k = kMaxTopK};
}

MatrixPtr CpuBackend::Pack(MatrixSource& source, WeightsFormat format) {
  return std::make_shared<const CpuMatrix>(kernels_->Pack(source, format));
}

FfnPtr CpuBackend::PackFfn(MatrixSource& gate, MatrixSource& up, MatrixSource& down,
                           Activation activation, WeightsFormat format) {
  FfnWeights weights;
  weights.gate = kernels_->Pack(gate, format);
  weights.up = kernels_->Pack(up, format);
  weights.down = kernels_->Pack(down, format);
  weights.activation = activation;
  return std::make_shared<const CpuFfn>(std::move(weights));
}

std::unique_ptr<PagedCache> CpuBackend::CreateCache(const KvCacheShape& shape, KvType type) {
  return std::make_unique<KvCache>(shape, type);
}

size_t CpuBackend::CacheBytes(const KvCacheShape& shape, KvType type) const {
  return KvCache::BytesFor(shape, type);
}

}  // namespace conclave
