#pragma once

#include <cstddef>

namespace emu {

// Shared memory of one block: NaN at first, and nothing may touch what follows it.
class SharedMemory {
 public:
  explicit SharedMemory(size_t bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  unsigned char* data() const { return data_; }

 private:
  size_t bytes_;
  unsigned char* data_;
};

}  // namespace emu
