#pragma once

#include <memory>
#include <span>
#include <vector>

#include "conclave/backend/backend.h"

namespace conclave {

// Of rows in a HostBackend's memory.
template <typename Element>
Element* HostPointer(const DeviceRows<Element>& rows) {
  return reinterpret_cast<Element*>(static_cast<uintptr_t>(rows.address));
}

// A vector of a HostBackend.
class HostVector final : public Vector {
 public:
  explicit HostVector(std::vector<float> values) : values_(std::move(values)) {}
  int64_t size() const override { return static_cast<int64_t>(values_.size()); }
  const float* data() const { return values_.data(); }

 private:
  std::vector<float> values_;
};

inline const float* HostPointer(const Vector& vector) {
  return static_cast<const HostVector&>(vector).data();
}

// A backend whose memory is the host's and whose operations are done when they return.
class HostBackend : public Backend {
 public:
  using Backend::Backend;

  std::unique_ptr<DeviceMemory> Allocate(size_t bytes) override;
  VectorPtr Store(std::vector<float> values) override;
  EmbeddingPtr PackEmbedding(MatrixSource& source, WeightsFormat format) override;
  std::unique_ptr<StateStore> CreateStates(const StateShape& shape) override;
  size_t StateBytes(const StateShape& shape) const override;
  void ClearStates(std::span<const int32_t> slots, StateStore& states) override;
  std::unique_ptr<StepRows> Place(const SequenceRows& where) override;
  void Embed(const Embedding& table, std::span<const int32_t> tokens, float multiplier,
             const Tensor& output) override;
  void Copy(const Tensor& x, const Tensor& output) override;
  void Gather(const Tensor& x, std::span<const int32_t> rows, const Tensor& output) override;
  void Upload(ActivationType type, std::span<const uint8_t> bytes, const Tensor& output) override;
  void Upload(std::span<const int32_t> values, const DeviceIds& output) override;
  void Download(const Tensor& x, ActivationType type, std::span<uint8_t> bytes) override;
  void Download(const DeviceIds& x, std::span<int32_t> values) override;
  void Synchronise() override {}
  void Sample(const Tensor& logits, std::span<const LogitsRequest> requests,
              std::span<LogitsResult> results) override;
};

}  // namespace conclave
