#include "kernels/cuda/runtime/runtime.h"

#include <atomic>

#include "conclave/base/message.h"
#include "kernels/cuda/runtime/checks.h"

namespace conclave::cuda {
namespace {

cudaStream_t Of(void* handle) { return static_cast<cudaStream_t>(handle); }

thread_local int used = -1;      // of this thread
std::atomic<int> used_last{-1};  // of any thread

// A thread that only frees memory would make a context on the first device otherwise, whose
// hundreds of megabytes others may need.
void UseAnyDevice() noexcept {
  const int device = used_last;
  if (used == -1 && device != -1 && cudaSetDevice(device) == cudaSuccess) used = device;
}

// Whether the driver gives memory in the order of a stream: it does but for some virtual machines.
bool AllocatesInOrder() {
  int supported = 0;
  return cudaDeviceGetAttribute(&supported, cudaDevAttrMemoryPoolsSupported, used) == cudaSuccess &&
         supported != 0;
}

}  // namespace

void UseDevice(int device) {
  if (used == device) return;
  Check(cudaSetDevice(device), "cudaSetDevice", "device");
  used = device;
  used_last = device;
}

void* AllocateDevice(size_t bytes, const char* purpose) {
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    Fail(ErrorCode::kOutOfMemory, purpose, ": cudaMalloc: no memory for ", bytes, " bytes");
  }
  Check(error, "cudaMalloc", purpose);
  return memory;
}

// Waits for what was launched before, as cudaFree does.
void FreeDevice(void* memory) noexcept {
  UseAnyDevice();
  cudaFree(memory);
}

void* AllocateAside(size_t bytes, const char* purpose) {
  if (!AllocatesInOrder()) return AllocateDevice(bytes, purpose);
  void* memory = nullptr;
  const cudaError_t error = cudaMallocAsync(&memory, bytes, cudaStreamPerThread);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    Fail(ErrorCode::kOutOfMemory, purpose, ": cudaMallocAsync: no memory for ", bytes, " bytes");
  }
  Check(error, "cudaMallocAsync", purpose);
  Check(cudaStreamSynchronize(cudaStreamPerThread), "cudaStreamSynchronize", purpose);
  return memory;
}

// Of memory that was allocated in order, cudaFree waits for nothing; the driver takes it back when
// someone waits.
void FreeAside(void* memory) noexcept {
  FreeDevice(memory);
  cudaStreamSynchronize(cudaStreamPerThread);
}

void* AllocatePinned(size_t bytes, const char* purpose) {
  void* memory = nullptr;
  Check(cudaMallocHost(&memory, bytes), "cudaMallocHost", purpose);
  return memory;
}

void FreePinned(void* memory) noexcept {
  UseAnyDevice();
  cudaFreeHost(memory);
}

void CopyToDevice(void* target, const void* host, size_t bytes, const char* purpose) {
  Check(cudaMemcpyAsync(target, host, bytes, cudaMemcpyHostToDevice, cudaStreamPerThread),
        "cudaMemcpyAsync", purpose);
  Check(cudaStreamSynchronize(cudaStreamPerThread), "cudaStreamSynchronize", purpose);
}

void ZeroDevice(void* target, size_t bytes, const char* purpose) {
  Check(cudaMemsetAsync(target, 0, bytes, cudaStreamPerThread), "cudaMemsetAsync", purpose);
  Check(cudaStreamSynchronize(cudaStreamPerThread), "cudaStreamSynchronize", purpose);
}

Stream::Stream(int device) : device_(device), handle_(nullptr) {
  Use();
  cudaStream_t stream = nullptr;
  Check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags",
        "stream");
  handle_ = stream;
}

Stream::~Stream() { cudaStreamDestroy(Of(handle_)); }

void Stream::ToDevice(void* target, const void* host, size_t bytes, const char* purpose) {
  Use();
  Check(cudaMemcpyAsync(target, host, bytes, cudaMemcpyHostToDevice, Of(handle_)),
        "cudaMemcpyAsync", purpose);
}

void Stream::ToHost(void* host, const void* source, size_t bytes, const char* purpose) {
  Use();
  Check(cudaMemcpyAsync(host, source, bytes, cudaMemcpyDeviceToHost, Of(handle_)),
        "cudaMemcpyAsync", purpose);
}

void Stream::Copy(void* target, const void* source, size_t bytes, const char* purpose) {
  Use();
  Check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToDevice, Of(handle_)),
        "cudaMemcpyAsync", purpose);
}

void Stream::Zero(void* target, size_t bytes, const char* purpose) {
  Use();
  Check(cudaMemsetAsync(target, 0, bytes, Of(handle_)), "cudaMemsetAsync", purpose);
}

void Stream::Synchronise(const char* purpose) {
  Use();
  Check(cudaStreamSynchronize(Of(handle_)), "cudaStreamSynchronize", purpose);
  progress_->End();
}

}  // namespace conclave::cuda
