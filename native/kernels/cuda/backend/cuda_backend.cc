#include "kernels/cuda/backend/cuda_backend.h"

#include <algorithm>
#include <cstring>

#include "conclave/base/message.h"
#include "kernels/cuda/backend.h"
#include "kernels/cuda/backend/cache.h"

namespace conclave::cuda {
namespace {

class CudaMemory final : public DeviceMemory {
 public:
  explicit CudaMemory(size_t bytes) : buffer_(bytes, "activations") {}
  uint64_t address() const override { return reinterpret_cast<uintptr_t>(buffer_.as()); }

 private:
  DeviceBuffer buffer_;
};

// Uploads that may be under way before the host waits for them.
constexpr size_t kMostStaged = size_t{64} << 20;

}  // namespace

std::unique_ptr<Backend> CreateBackend(int device, int threads) {
  const std::vector<DeviceInfo> devices = Devices();
  const bool known = std::any_of(devices.begin(), devices.end(),
                                 [&](const DeviceInfo& info) { return info.index == device; });
  if (!known) {
    Fail(ErrorCode::kUnsupported, "device ", device, ": expected one of ", devices.size(),
         " devices, the first of which is ", devices.front().index);
  }
  return std::make_unique<CudaBackend>(device, threads);
}

CudaBackend::CudaBackend(int device, int threads)
    : Backend(threads),
      device_(device),
      stream_(device),
      weights_(device, stream_.progress()),
      step_buffers_(std::make_shared<StepBuffers>()),
      fault_(sizeof(int), "the report of faults") {
  ZeroDevice(fault_.as(), sizeof(int), "the report of faults");
}

CudaBackend::~CudaBackend() = default;

Capabilities CudaBackend::capabilities() const {
  return {.name = "cuda",
          .formats = {WeightsFormat::kF32, WeightsFormat::kBF16, WeightsFormat::kQ8,
                      WeightsFormat::kQ4},
          .max_experts = kMaxExperts,
          .max_top_k = kMaxTopK};
}

template <typename Make>
auto CudaBackend::MakeRoom(const Make& make) {
  UseDevice(device_);
  try {
    return make();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kOutOfMemory || !weights_.pool().Trim()) throw;
    return make();
  }
}

std::unique_ptr<DeviceMemory> CudaBackend::Allocate(size_t bytes) {
  return MakeRoom([&] { return std::make_unique<CudaMemory>(bytes); });
}

MatrixPtr CudaBackend::Pack(MatrixSource& source, WeightsFormat format) {
  UseDevice(device_);
  return std::make_shared<const CudaMatrix>(source, format, weights_);
}

FfnPtr CudaBackend::PackFfn(const FfnSource& source, WeightsFormat format) {
  UseDevice(device_);
  return std::make_shared<const CudaFfn>(source, format, weights_);
}

VectorPtr CudaBackend::Store(std::vector<float> values) {
  UseDevice(device_);
  return std::make_shared<const CudaVector>(values, weights_);
}

EmbeddingPtr CudaBackend::PackEmbedding(MatrixSource& source, WeightsFormat format) {
  UseDevice(device_);
  return std::make_shared<const CudaEmbedding>(source, format, weights_);
}

std::unique_ptr<PagedCache> CudaBackend::CreateCache(const KvCacheShape& shape, KvType type) {
  return MakeRoom([&] { return std::make_unique<CudaCache>(shape, type); });
}

size_t CudaBackend::CacheBytes(const KvCacheShape& shape, KvType type) const {
  return CudaCache::BytesFor(shape, type);
}

std::unique_ptr<StateStore> CudaBackend::CreateStates(const StateShape& shape) {
  return MakeRoom([&] { return std::make_unique<CudaStates>(shape); });
}

size_t CudaBackend::StateBytes(const StateShape& shape) const {
  return CudaStates::BytesFor(shape);
}

std::unique_ptr<StepRows> CudaBackend::Place(const SequenceRows& where) {
  UseDevice(device_);
  auto rows = std::make_unique<CudaStepRows>(where, step_buffers_);
  SendTo(rows->device(), rows->host().data(), rows->host().size() * sizeof(int32_t),
         "rows of a step");
  return rows;
}

const void* CudaBackend::SendBytes(const void* values, size_t bytes, const char* purpose) {
  uint8_t* const target = Scratch<uint8_t>(1, static_cast<int64_t>(bytes));
  SendTo(target, values, bytes, purpose);
  return target;
}

void CudaBackend::SendTo(void* target, const void* values, size_t bytes, const char* purpose) {
  if (bytes == 0) return;
  if (staging_.taken() > kMostStaged) Finish(purpose);
  stream_.Use();
  void* const staged = staging_.Take(bytes);
  std::memcpy(staged, values, bytes);
  stream_.ToDevice(target, staged, bytes, purpose);
}

void CudaBackend::Receive(const void* source, void* host, size_t bytes, const char* purpose) {
  if (bytes == 0) return;
  stream_.Use();
  void* const staged = staging_.Take(bytes);
  stream_.ToHost(staged, source, bytes, purpose);
  staging_.Expect(staged, host, bytes);
}

void CudaBackend::Finish(const char* purpose) {
  try {
    stream_.Synchronise(purpose);
  } catch (...) {
    staging_.Forget();  // Who waits for arrivals is gone.
    throw;
  }
  staging_.Deliver();
  staging_.Reset();
}

void CudaBackend::Synchronise() {
  int fault = 0;
  Receive(fault_.as(), &fault, sizeof fault, "the report of faults");
  Finish("a step");
  if (fault == 0) return;
  stream_.Zero(fault_.as(), sizeof fault, "the report of faults");
  Fail(ErrorCode::kNonFinite, "gate logits: some of a row are NaN or infinite");
}

}  // namespace conclave::cuda
