#pragma once

// The emulated device: memory of the host, and streams whose work waits until someone waits for it.

#include <cstddef>
#include <cstdint>
#include <functional>

namespace emu {

// Work on the stream that conclave::cuda::Stream::handle() names.
void Enqueue(void* stream, const char* call, const char* purpose, std::function<void()> work);

// What the device does of its own accord; tests set it.
struct Device {
  int64_t allocations = 0;                // so far
  int64_t allocated_bytes = 0;            // now
  int64_t most_bytes = int64_t{4} << 30;  // more than that is refused
  // The n-th call to come that can fail does, and all after it; 0: none. At first what
  // EMULATED_GPU_FAILS_AFTER says.
  int64_t fails_after = 0;
};
Device& device();

}  // namespace emu
