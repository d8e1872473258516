#include "kernels/cpu/weight_memory.h"

#include <cstdlib>
#include <string>

#include "conclave/error.h"

namespace conclave {

struct WeightMemory::Mappings {};

WeightMemory::WeightMemory() : mappings_(std::make_shared<Mappings>()) {}

std::shared_ptr<uint8_t> WeightMemory::Allocate(size_t bytes) {
  const size_t rounded = (bytes + 63) / 64 * 64;
  void* data = std::aligned_alloc(64, rounded);
  if (data == nullptr)
    throw Error(ErrorCode::kOutOfMemory,
                "weights: no memory for " + std::to_string(bytes) + " bytes");
  return std::shared_ptr<uint8_t>(static_cast<uint8_t*>(data),
                                  [](uint8_t* pointer) { std::free(pointer); });
}

}  // namespace conclave
