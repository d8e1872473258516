#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "conclave/backend/device_rows.h"

namespace conclave {

class Backend;

// Memory of a device, aligned to 64 bytes or more and not initialised; freed on destruction.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  virtual uint64_t address() const = 0;
};

// Memory for activations, handed out one after the other and taken back in the reverse order. It
// only grows, so that a step allocates nothing once the largest has run. Operations run in order,
// so what is taken back may be handed out again at once. One thread at a time.
class Arena {
 public:
  explicit Arena(Backend& backend) : backend_(backend) {}

  // [rows, width], not initialised.
  template <typename Element>
  DeviceRows<Element> Take(int64_t rows, int64_t width) {
    return {TakeBytes(static_cast<size_t>(rows * width) * sizeof(Element)), rows, width};
  }
  Tensor Rows(int64_t rows, int64_t width) { return Take<float>(rows, width); }

  // Takes everything back.
  void Reset();

  // Takes back what is handed out during its life.
  class Scope {
   public:
    explicit Scope(Arena& arena) : arena_(arena), chunk_(arena.chunk_), used_(arena.used_) {}
    ~Scope() {
      arena_.chunk_ = chunk_;
      arena_.used_ = used_;
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Arena& arena_;
    size_t chunk_;
    size_t used_;
  };

 private:
  struct Chunk {
    std::unique_ptr<DeviceMemory> memory;
    size_t bytes;
  };

  uint64_t TakeBytes(size_t bytes);
  void Add(size_t bytes);
  // Makes one chunk of all, when nothing is handed out.
  void Merge();

  Backend& backend_;
  std::vector<Chunk> chunks_;
  size_t chunk_ = 0;  // that memory comes from; those behind it are unused
  size_t used_ = 0;   // of it
};

}  // namespace conclave
