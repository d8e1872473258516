#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/cuda/backend/loading/weight_memory.h"
#include "kernels/cuda/runtime/runtime.h"

namespace conclave::cuda {

// Copies weights to the device through two pieces of pinned memory: one is copied while the host
// reads and encodes into the other. One thread at a time.
class WeightUpload {
 public:
  static constexpr size_t kPieceBytes = size_t{4} << 20;

  explicit WeightUpload(int device);

  // Of `bytes`; free once what it held before is copied. Only its last one may be written to.
  uint8_t* Piece(size_t bytes);
  // Starts to copy the last piece.
  void Send(void* target, size_t bytes);
  void SendAll(void* target, const void* values, size_t bytes);
  // Waits until all is there.
  void Finish();

 private:
  struct Half {
    explicit Half(int device) : stream(device) {}
    Stream stream;
    PinnedBuffer memory;
  };

  std::array<Half, 2> halves_;
  size_t current_ = 0;
};

// What weights are loaded by: memory, and an upload for each thread that loads.
class WeightLoading {
 public:
  WeightLoading(int device, std::shared_ptr<const Progress> steps)
      : device_(device), pool_(std::make_shared<WeightPool>(std::move(steps))) {}

  WeightPool& pool() { return *pool_; }
  // Frees what nothing lies in where there is no room otherwise.
  WeightMemory Take(size_t bytes);

  // body(upload), and then waits for its copies, whatever happens.
  template <typename Body>
  void Run(const Body& body) {
    std::unique_ptr<WeightUpload> upload = Borrow();
    try {
      body(*upload);
      upload->Finish();
    } catch (...) {
      Abandon(std::move(upload));
      throw;
    }
    Return(std::move(upload));
  }

 private:
  std::unique_ptr<WeightUpload> Borrow();
  void Return(std::unique_ptr<WeightUpload> upload);
  // Its copies must not go on in memory that others get.
  void Abandon(std::unique_ptr<WeightUpload> upload) noexcept;

  int device_;
  std::shared_ptr<WeightPool> pool_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<WeightUpload>> free_;
};

}  // namespace conclave::cuda
