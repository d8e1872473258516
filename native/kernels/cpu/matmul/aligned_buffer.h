#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "conclave/base/error.h"

namespace conclave {

// Scratch memory, aligned to 64 bytes, that only grows. Its contents do not survive growing.
class AlignedBuffer {
 public:
  // At least `bytes` of memory, not initialised. Throws kOutOfMemory.
  uint8_t* Reserve(size_t bytes) {
    if (bytes <= capacity_) return data_.get();
    const size_t rounded = (bytes + 63) / 64 * 64;
    data_.reset();
    capacity_ = 0;
    data_.reset(static_cast<uint8_t*>(std::aligned_alloc(64, rounded)));
    if (!data_)
      throw Error(ErrorCode::kOutOfMemory,
                  "scratch: no memory for " + std::to_string(rounded) + " bytes");
    capacity_ = rounded;
    return data_.get();
  }

  uint8_t* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(uint8_t* pointer) const { std::free(pointer); }
  };
  std::unique_ptr<uint8_t, Free> data_;
  size_t capacity_ = 0;
};

}  // namespace conclave
