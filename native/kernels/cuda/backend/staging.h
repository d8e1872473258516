#pragma once

#include <cstddef>
#include <vector>

#include "kernels/cuda/runtime/runtime.h"

namespace conclave::cuda {

// Pinned memory through which arrays go to the device and back. Only grows.
class Staging {
 public:
  // Until the next Reset.
  void* Take(size_t bytes);
  // Once the device reads and writes none of it any more.
  void Reset();
  // Handed out since then.
  size_t taken() const { return taken_; }

  // What comes back from the device: copied to its place by Deliver.
  void Expect(const void* staged, void* host, size_t bytes) {
    arrivals_.push_back({staged, host, bytes});
  }
  void Deliver();
  void Forget() { arrivals_.clear(); }

 private:
  struct Arrival {
    const void* staged;
    void* host;
    size_t bytes;
  };

  std::vector<PinnedBuffer> chunks_;
  size_t chunk_ = 0;
  size_t used_ = 0;  // of it
  size_t taken_ = 0;
  std::vector<Arrival> arrivals_;
};

}  // namespace conclave::cuda
