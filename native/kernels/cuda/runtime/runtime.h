#pragma once

// The little of the CUDA runtime that the backend uses. Every failure is an error that names the
// call and what was being done. The emulation has another implementation of the same functions.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace conclave::cuda {

// Makes calls of this thread go to a device.
void UseDevice(int device);

// Memory of the device that the thread uses; 256-byte aligned, not initialised. Freed once what was
// launched before is done. Throws kOutOfMemory.
void* AllocateDevice(size_t bytes, const char* purpose);
void FreeDevice(void* memory) noexcept;

// The same, without waiting for what runs and without making it wait, where the driver can; freed
// at once. For what is loaded while steps run.
void* AllocateAside(size_t bytes, const char* purpose);
void FreeAside(void* memory) noexcept;

// Memory of the host that devices read and write by themselves.
void* AllocatePinned(size_t bytes, const char* purpose);
void FreePinned(void* memory) noexcept;

// Returns when the copy is done. Any thread.
void CopyToDevice(void* target, const void* host, size_t bytes, const char* purpose);
void ZeroDevice(void* target, size_t bytes, const char* purpose);

// What owns memory of one of the two kinds.
template <void* (*kAllocate)(size_t, const char*), void (*kFree)(void*) noexcept>
class Buffer {
 public:
  Buffer() = default;
  Buffer(size_t bytes, const char* purpose)
      : memory_(bytes > 0 ? kAllocate(bytes, purpose) : nullptr), bytes_(bytes) {}
  ~Buffer() {
    if (memory_ != nullptr) kFree(memory_);
  }
  Buffer(Buffer&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  template <typename T = uint8_t>
  T* as() const {
    return static_cast<T*>(memory_);
  }
  size_t bytes() const { return bytes_; }

 private:
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

using DeviceBuffer = Buffer<AllocateDevice, FreeDevice>;
using AsideBuffer = Buffer<AllocateAside, FreeAside>;
using PinnedBuffer = Buffer<AllocatePinned, FreePinned>;

// How far the work of a stream is, for whoever may not wait for it. Any thread.
class Progress {
 public:
  // Of all that was asked for so far.
  uint64_t mark() const { return begun_; }
  bool Done(uint64_t mark) const { return finished_ >= mark; }

  // By the stream's thread.
  void Begin() { begun_ = finished_ + 1; }
  void End() { finished_ = begun_.load(); }

 private:
  std::atomic<uint64_t> begun_{0};
  std::atomic<uint64_t> finished_{0};
};

// Work in order, done later than it is asked for. Of one device and one thread.
class Stream {
 public:
  explicit Stream(int device);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Host memory is pinned, and stays until the copy is done.
  void ToDevice(void* target, const void* host, size_t bytes, const char* purpose);
  void ToHost(void* host, const void* source, size_t bytes, const char* purpose);
  void Copy(void* target, const void* source, size_t bytes, const char* purpose);
  void Zero(void* target, size_t bytes, const char* purpose);
  // Waits. Reports what went wrong since the last time.
  void Synchronise(const char* purpose);

  // What Launch hands to the device.
  void* handle() const { return handle_; }
  // Before anything is asked for.
  void Use() const {
    UseDevice(device_);
    progress_->Begin();
  }
  const std::shared_ptr<Progress>& progress() const { return progress_; }

 private:
  int device_;
  void* handle_;
  std::shared_ptr<Progress> progress_ = std::make_shared<Progress>();
};

}  // namespace conclave::cuda
