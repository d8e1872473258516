// kernels/cuda/runtime/runtime.h, for the emulated device.

#include "kernels/cuda/runtime/runtime.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <new>
#include <set>

#include "conclave/base/message.h"
#include "emulation/stream.h"
#include "kernels/cuda/backend.h"

namespace emu {
namespace {

constexpr std::align_val_t kAlignment{256};

struct Queue {
  std::recursive_mutex mutex;  // Freeing memory waits for all streams, on any thread.
  std::deque<std::function<void()>> work;

  void Run() {
    const std::lock_guard lock(mutex);
    while (!work.empty()) {
      const std::function<void()> first = std::move(work.front());
      work.pop_front();
      first();
    }
  }
};

struct State {
  std::mutex mutex;
  Device device;
  std::set<Queue*> queues;
  std::map<void*, size_t> sizes;
};

State* MakeState() {
  auto* const made = new State;
  const char* const fails_after = std::getenv("EMULATED_GPU_FAILS_AFTER");
  if (fails_after != nullptr) made->device.fails_after = std::atoll(fails_after);
  return made;
}

State& state() {
  static auto* const all = MakeState();  // Outlives whoever frees memory last.
  return *all;
}

void RunAll() {
  const std::lock_guard lock(state().mutex);
  for (Queue* const queue : state().queues) queue->Run();
}

void MayFail(const char* call, const char* purpose) {
  const std::lock_guard lock(state().mutex);
  int64_t& left = state().device.fails_after;
  if (left == 0 || --left > 0) return;
  left = 1;
  conclave::Fail(conclave::ErrorCode::kDeviceLost, purpose, ": ", call,
                 ": an illegal memory access was encountered (cudaErrorIllegalAddress)");
}

}  // namespace

Device& device() { return state().device; }

void Enqueue(void* stream, const char* call, const char* purpose, std::function<void()> work) {
  MayFail(call, purpose);
  auto* const queue = static_cast<Queue*>(stream);
  const std::lock_guard lock(queue->mutex);
  queue->work.push_back(std::move(work));
}

}  // namespace emu

namespace conclave::cuda {

void UseDevice(int) {}

void* AllocateDevice(size_t bytes, const char* purpose) {
  emu::MayFail("cudaMalloc", purpose);
  const std::lock_guard lock(emu::state().mutex);
  emu::Device& device = emu::state().device;
  if (device.allocated_bytes + static_cast<int64_t>(bytes) > device.most_bytes)
    Fail(ErrorCode::kOutOfMemory, purpose, ": cudaMalloc: no memory for ", bytes, " bytes");
  void* const memory = ::operator new(bytes, emu::kAlignment);
  std::memset(memory, 0xFF, bytes);  // NaN
  ++device.allocations;
  device.allocated_bytes += static_cast<int64_t>(bytes);
  emu::state().sizes[memory] = bytes;
  return memory;
}

void FreeDevice(void* memory) noexcept {
  emu::RunAll();
  const std::lock_guard lock(emu::state().mutex);
  const auto size = emu::state().sizes.find(memory);
  emu::state().device.allocated_bytes -= static_cast<int64_t>(size->second);
  emu::state().sizes.erase(size);
  ::operator delete(memory, emu::kAlignment);
}

void* AllocateAside(size_t bytes, const char* purpose) { return AllocateDevice(bytes, purpose); }

void FreeAside(void* memory) noexcept { FreeDevice(memory); }

void* AllocatePinned(size_t bytes, const char* purpose) {
  emu::MayFail("cudaMallocHost", purpose);
  return ::operator new(bytes, emu::kAlignment);
}

void FreePinned(void* memory) noexcept { ::operator delete(memory, emu::kAlignment); }

void CopyToDevice(void* target, const void* host, size_t bytes, const char* purpose) {
  emu::MayFail("cudaMemcpy", purpose);
  std::memcpy(target, host, bytes);
}

void ZeroDevice(void* target, size_t bytes, const char* purpose) {
  emu::MayFail("cudaMemset", purpose);
  std::memset(target, 0, bytes);
}

Stream::Stream(int device) : device_(device), handle_(new emu::Queue) {
  const std::lock_guard lock(emu::state().mutex);
  emu::state().queues.insert(static_cast<emu::Queue*>(handle_));
}

Stream::~Stream() {
  auto* const queue = static_cast<emu::Queue*>(handle_);
  queue->Run();
  const std::lock_guard lock(emu::state().mutex);
  emu::state().queues.erase(queue);
  delete queue;
}

void Stream::ToDevice(void* target, const void* host, size_t bytes, const char* purpose) {
  Copy(target, host, bytes, purpose);
}

void Stream::ToHost(void* host, const void* source, size_t bytes, const char* purpose) {
  Copy(host, source, bytes, purpose);
}

void Stream::Copy(void* target, const void* source, size_t bytes, const char* purpose) {
  Use();
  emu::Enqueue(handle_, "cudaMemcpyAsync", purpose, [=] { std::memcpy(target, source, bytes); });
}

void Stream::Zero(void* target, size_t bytes, const char* purpose) {
  Use();
  emu::Enqueue(handle_, "cudaMemsetAsync", purpose, [=] { std::memset(target, 0, bytes); });
}

void Stream::Synchronise(const char* purpose) {
  emu::MayFail("cudaStreamSynchronize", purpose);
  static_cast<emu::Queue*>(handle_)->Run();
  progress_->End();
}

std::vector<DeviceInfo> Devices() {
  const std::lock_guard lock(emu::state().mutex);
  return {{.index = 0,
           .name = "emulated",
           .major = 8,
           .minor = 0,
           .total_bytes = static_cast<size_t>(emu::state().device.most_bytes),
           .multiprocessors = 1,
           .shared_bytes_per_block = 163 << 10}};
}

size_t FreeBytes(int) {
  const std::lock_guard lock(emu::state().mutex);
  const emu::Device& device = emu::state().device;
  return static_cast<size_t>(device.most_bytes - device.allocated_bytes);
}

}  // namespace conclave::cuda
