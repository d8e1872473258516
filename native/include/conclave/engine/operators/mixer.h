#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "conclave/engine/cache_options.h"
#include "conclave/engine/tensor_loader.h"
#include "conclave/model/slicing.h"

namespace conclave {

// What the mixers of a step have in common.
struct MixerStep {
  const StepRows& where;
  Arena& arena;  // of what outlives one of them
  // What the last indexer has selected; absent: rows read all positions up to their own.
  std::optional<KeySelection> selection = {};
  DeviceIds words = {};  // memory of selections
};

// A share of an operator whose rows depend on earlier ones of their sequence, by what it keeps of
// them: attention, or a recurrence.
class Mixer {
 public:
  virtual ~Mixer() = default;

  // Takes the memory of what it keeps, once, before the first Forward.
  virtual void TakeCache(Backend& backend) = 0;
  // output [rows, H] = this share's part for input [rows, H]; keeps what later rows need of them.
  virtual void Forward(Backend& backend, MixerStep& step, const Tensor& input,
                       const Tensor& output) = 0;

  virtual uint64_t weight_bytes() const = 0;
  virtual uint64_t cache_bytes() const = 0;
};

// Loads the weights of a share of one of the spec's mixers. `output_bias`: this share adds the
// output projection's bias (one share of each layer does).
std::unique_ptr<Mixer> LoadMixer(TensorLoader& loader, const ModelSpec& spec,
                                 const OperatorSpec& op, const Share& share,
                                 const CacheOptions& cache, bool output_bias);

// Of the caches beside weights of a format.
inline KvType CacheTypeOf(WeightsFormat format) {
  return format == WeightsFormat::kF32 ? KvType::kF32 : KvType::kBF16;
}

uint64_t MixerSourceBytes(const OperatorSpec& op);

// Bytes of what a share keeps, beside weights of a format.
uint64_t MixerCacheBytes(const Backend& backend, const OperatorSpec& op, const Share& share,
                         const CacheOptions& cache, WeightsFormat format);

}  // namespace conclave
