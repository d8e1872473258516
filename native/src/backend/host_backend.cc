#include "conclave/backend/host_backend.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "conclave/backend/host_embedding.h"
#include "conclave/backend/host_states.h"
#include "conclave/base/message.h"

namespace conclave {
namespace {

constexpr size_t kAlignment = 64;

class HostMemory final : public DeviceMemory {
 public:
  explicit HostMemory(size_t bytes)
      : memory_(
            std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment)) {
    if (memory_ == nullptr)
      Fail(ErrorCode::kOutOfMemory, "activations: no memory for ", bytes, " bytes");
  }
  ~HostMemory() override { std::free(memory_); }
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;
  uint64_t address() const override { return reinterpret_cast<uintptr_t>(memory_); }

 private:
  void* memory_;
};

void CheckBytes(const char* name, size_t got, size_t expected) {
  if (got != expected) {
    Fail(ErrorCode::kInternal, name, ": expected ", expected, " bytes, got ", got);
  }
}

}  // namespace

std::unique_ptr<DeviceMemory> HostBackend::Allocate(size_t bytes) {
  return std::make_unique<HostMemory>(bytes);
}

VectorPtr HostBackend::Store(std::vector<float> values) {
  return std::make_shared<const HostVector>(std::move(values));
}

EmbeddingPtr HostBackend::PackEmbedding(MatrixSource& source, WeightsFormat format) {
  return std::make_shared<const HostEmbedding>(source, format);
}

void HostBackend::Copy(const Tensor& x, const Tensor& output) {
  std::copy_n(HostPointer(x), x.elements(), HostPointer(output));
}

std::unique_ptr<StateStore> HostBackend::CreateStates(const StateShape& shape) {
  return std::make_unique<HostStates>(shape);
}

size_t HostBackend::StateBytes(const StateShape& shape) const {
  return HostStates::BytesFor(shape);
}

void HostBackend::ClearStates(std::span<const int32_t> slots, StateStore& states) {
  auto& host = static_cast<HostStates&>(states);
  for (const int32_t slot : slots) std::fill_n(host.Slot(slot), host.elements(), 0.0f);
}

std::unique_ptr<StepRows> HostBackend::Place(const SequenceRows& where) {
  return std::make_unique<StepRows>(where);
}

void HostBackend::Embed(const Embedding& table, std::span<const int32_t> tokens, float multiplier,
                        const Tensor& output) {
  const auto& rows = static_cast<const HostEmbedding&>(table);
  float* const out = HostPointer(output);
  for (size_t i = 0; i < tokens.size(); ++i)
    rows.Row(tokens[i], out + static_cast<int64_t>(i) * output.width);
  if (multiplier != 1) Scale(output, multiplier);
}

void HostBackend::Gather(const Tensor& x, std::span<const int32_t> rows, const Tensor& output) {
  for (size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(HostPointer(x) + rows[i] * x.width, x.width,
                HostPointer(output) + static_cast<int64_t>(i) * x.width);
  }
}

void HostBackend::Upload(ActivationType type, std::span<const uint8_t> bytes,
                         const Tensor& output) {
  CheckBytes("upload", bytes.size(),
             static_cast<size_t>(output.elements()) * ActivationBytes(type));
  DecodeActivations(type, bytes.data(), output.elements(), HostPointer(output));
}

void HostBackend::Upload(std::span<const int32_t> values, const DeviceIds& output) {
  CheckBytes("upload", values.size_bytes(), static_cast<size_t>(output.elements()) * 4);
  std::copy(values.begin(), values.end(), HostPointer(output));
}

void HostBackend::Download(const Tensor& x, ActivationType type, std::span<uint8_t> bytes) {
  CheckBytes("download", bytes.size(), static_cast<size_t>(x.elements()) * ActivationBytes(type));
  EncodeActivations(type, HostPointer(x), x.elements(), bytes.data());
}

void HostBackend::Download(const DeviceIds& x, std::span<int32_t> values) {
  CheckBytes("download", values.size_bytes(), static_cast<size_t>(x.elements()) * 4);
  std::copy_n(HostPointer(x), x.elements(), values.begin());
}

void HostBackend::Sample(const Tensor& logits, std::span<const LogitsRequest> requests,
                         std::span<LogitsResult> results) {
  SampleRows(pool(), requests, {HostPointer(logits), static_cast<size_t>(logits.elements())},
             results);
}

}  // namespace conclave
