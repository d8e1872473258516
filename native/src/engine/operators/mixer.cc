#include "conclave/engine/operators/mixer.h"

#include "conclave/engine/operators/compressed_attention.h"
#include "conclave/engine/operators/gqa.h"
#include "conclave/engine/operators/mla.h"
#include "conclave/engine/operators/recurrent/linear_attention.h"
#include "conclave/engine/operators/recurrent/running_sum.h"
#include "conclave/engine/operators/recurrent/selective_scan.h"
#include "conclave/engine/operators/recurrent/short_convolution.h"

namespace conclave {
namespace {

const FixedCacheSpec& FixedCacheOf(const OperatorSpec& op) {
  return std::get<FixedCacheSpec>(*op.cache);
}

}  // namespace

std::unique_ptr<Mixer> LoadMixer(TensorLoader& loader, const ModelSpec& spec,
                                 const OperatorSpec& op, const Share& share,
                                 const CacheOptions& cache, bool output_bias) {
  if (const auto* gqa = std::get_if<GqaSpec>(&op.kind))
    return std::make_unique<GqaOperator>(loader, spec, *gqa, share, cache, output_bias);
  if (const auto* mla = std::get_if<MlaSpec>(&op.kind))
    return std::make_unique<MlaOperator>(loader, spec, *mla, share, cache, output_bias);
  if (const auto* compressed = std::get_if<CompressedAttentionSpec>(&op.kind))
    return std::make_unique<CompressedAttentionOperator>(loader, spec, *compressed, share, cache);
  if (const auto* linear = std::get_if<LinearAttentionSpec>(&op.kind)) {
    return std::make_unique<LinearAttentionOperator>(loader, *linear, FixedCacheOf(op), share,
                                                     cache, output_bias);
  }
  if (const auto* convolution = std::get_if<ShortConvolutionSpec>(&op.kind)) {
    return std::make_unique<ShortConvolutionOperator>(loader, *convolution, FixedCacheOf(op), share,
                                                      cache, output_bias);
  }
  if (const auto* scan = std::get_if<SelectiveScanSpec>(&op.kind)) {
    return std::make_unique<SelectiveScanOperator>(loader, *scan, FixedCacheOf(op), cache,
                                                   output_bias);
  }
  return std::make_unique<RunningSumOperator>(loader, std::get<RunningSumSpec>(op.kind),
                                              FixedCacheOf(op), share, cache, output_bias);
}

uint64_t MixerSourceBytes(const OperatorSpec& op) {
  if (const auto* gqa = std::get_if<GqaSpec>(&op.kind)) return GqaOperator::SourceBytes(*gqa);
  if (const auto* mla = std::get_if<MlaSpec>(&op.kind)) return MlaOperator::SourceBytes(*mla);
  if (const auto* compressed = std::get_if<CompressedAttentionSpec>(&op.kind))
    return CompressedAttentionOperator::SourceBytes(*compressed);
  if (const auto* linear = std::get_if<LinearAttentionSpec>(&op.kind))
    return LinearAttentionOperator::SourceBytes(*linear);
  if (const auto* convolution = std::get_if<ShortConvolutionSpec>(&op.kind))
    return ShortConvolutionOperator::SourceBytes(*convolution);
  if (const auto* scan = std::get_if<SelectiveScanSpec>(&op.kind))
    return SelectiveScanOperator::SourceBytes(*scan);
  return RunningSumOperator::SourceBytes(std::get<RunningSumSpec>(op.kind));
}

uint64_t MixerCacheBytes(const Backend& backend, const OperatorSpec& op, const Share& share,
                         const CacheOptions& cache, WeightsFormat format) {
  if (const auto* gqa = std::get_if<GqaSpec>(&op.kind))
    return GqaOperator::CacheBytes(backend, *gqa, share, cache, format);
  if (const auto* mla = std::get_if<MlaSpec>(&op.kind))
    return MlaOperator::CacheBytes(backend, *mla, cache, format);
  if (const auto* compressed = std::get_if<CompressedAttentionSpec>(&op.kind))
    return CompressedAttentionOperator::CacheBytes(backend, *compressed, cache, format);
  return FixedStates(backend, FixedCacheOf(op), share, cache).bytes();
}

}  // namespace conclave
