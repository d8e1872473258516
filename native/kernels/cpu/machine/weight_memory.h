#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace conclave {

// Hands out memory for packed weights, aligned to 64 bytes and backed by huge pages where the
// system gives them. Many small matrices share one mapping; a mapping goes back to the system with
// its last matrix. Thread safe.
class WeightMemory {
 public:
  WeightMemory();

  // Not zeroed. Freed with its last owner, which may outlive this object. Throws kOutOfMemory.
  std::shared_ptr<uint8_t> Allocate(size_t bytes);

 private:
  struct Regions;
  std::shared_ptr<Regions> regions_;
};

}  // namespace conclave
