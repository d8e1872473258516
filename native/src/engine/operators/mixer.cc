#include "conclave/engine/operators/mixer.h"

#include "conclave/engine/operators/gqa.h"
#include "conclave/engine/operators/linear_attention.h"
#include "conclave/engine/operators/mla.h"
#include "conclave/engine/operators/running_sum.h"

namespace conclave {
namespace {

const FixedCacheSpec& FixedCacheOf(const OperatorSpec& op) {
  return std::get<FixedCacheSpec>(*op.cache);
}

}  // namespace

std::unique_ptr<Mixer> LoadMixer(TensorLoader& loader, const ModelSpec& spec,
                                 const OperatorSpec& op, const Share& share,
                                 const CacheOptions& cache, bool output_bias) {
  if (const auto* gqa = std::get_if<GqaSpec>(&op.kind)) {
    const Rope* const rope = gqa->rope ? &spec.ropes[*gqa->rope] : nullptr;
    return std::make_unique<GqaOperator>(loader, *gqa, rope, share, cache, output_bias);
  }
  if (const auto* mla = std::get_if<MlaSpec>(&op.kind)) {
    const Rope* const rope = mla->rope ? &spec.ropes[*mla->rope] : nullptr;
    return std::make_unique<MlaOperator>(loader, *mla, rope, share, cache, output_bias);
  }
  if (const auto* linear = std::get_if<LinearAttentionSpec>(&op.kind)) {
    return std::make_unique<LinearAttentionOperator>(loader, *linear, FixedCacheOf(op), share,
                                                     cache, output_bias);
  }
  return std::make_unique<RunningSumOperator>(loader, std::get<RunningSumSpec>(op.kind),
                                              FixedCacheOf(op), share, cache, output_bias);
}

uint64_t MixerSourceBytes(const OperatorSpec& op) {
  if (const auto* gqa = std::get_if<GqaSpec>(&op.kind)) return GqaOperator::SourceBytes(*gqa);
  if (const auto* mla = std::get_if<MlaSpec>(&op.kind)) return MlaOperator::SourceBytes(*mla);
  if (const auto* linear = std::get_if<LinearAttentionSpec>(&op.kind))
    return LinearAttentionOperator::SourceBytes(*linear);
  return RunningSumOperator::SourceBytes(std::get<RunningSumSpec>(op.kind));
}

uint64_t MixerCacheBytes(const Backend& backend, const OperatorSpec& op, const Share& share,
                         const CacheOptions& cache, WeightsFormat format) {
  if (const auto* gqa = std::get_if<GqaSpec>(&op.kind))
    return GqaOperator::CacheBytes(backend, *gqa, share, cache, format);
  if (const auto* mla = std::get_if<MlaSpec>(&op.kind))
    return MlaOperator::CacheBytes(backend, *mla, cache, format);
  return FixedStates(backend, FixedCacheOf(op), share, cache).bytes();
}

}  // namespace conclave
