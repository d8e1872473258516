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
          .formats = {WeightsFormat::kF32, WeightsFormat::kBF16, WeightsFormat::kQ8,
                      WeightsFormat::kQ4},
          .max_experts = kMaxExperts,
          .max_top_k = kMaxTopK};
}

MatrixPtr CpuBackend::Pack(MatrixSource& source, WeightsFormat format) {
  return std::make_shared<const CpuMatrix>(kernels_->Pack(source, format));
}

CpuFfn::CpuFfn(FfnWeights weights, std::array<VectorPtr, 3> biases)
    : weights_(std::move(weights)), biases_(std::move(biases)) {
  const auto data = [](const VectorPtr& bias) { return bias ? HostPointer(*bias) : nullptr; };
  weights_.gate_bias = data(biases_[0]);
  weights_.up_bias = data(biases_[1]);
  weights_.down_bias = data(biases_[2]);
}

size_t CpuFfn::bytes() const {
  size_t bytes = weights_.up.bytes() + weights_.down.bytes();
  if (weights_.gate) bytes += weights_.gate.bytes();
  for (const VectorPtr& bias : biases_) bytes += bias ? bias->bytes() : 0;
  return bytes;
}

FfnPtr CpuBackend::PackFfn(const FfnSource& source, WeightsFormat format) {
  FfnWeights weights;
  if (source.gate != nullptr) weights.gate = kernels_->Pack(*source.gate, format);
  weights.up = kernels_->Pack(source.up, format);
  weights.down = kernels_->Pack(source.down, format);
  weights.activation = source.activation;
  return std::make_shared<const CpuFfn>(
      std::move(weights), std::array{source.gate_bias, source.up_bias, source.down_bias});
}

std::unique_ptr<PagedCache> CpuBackend::CreateCache(const KvCacheShape& shape, KvType type) {
  return std::make_unique<KvCache>(shape, type);
}

size_t CpuBackend::CacheBytes(const KvCacheShape& shape, KvType type) const {
  return KvCache::BytesFor(shape, type);
}

}  // namespace conclave
