#pragma once

#include <memory>
#include <span>
#include <vector>

#include "conclave/backend/backend.h"
#include "kernels/cuda/backend/networks.h"
#include "kernels/cuda/backend/staging.h"
#include "kernels/cuda/backend/step_buffers.h"
#include "kernels/cuda/backend/weights.h"
#include "kernels/cuda/runtime/runtime.h"

namespace conclave::cuda {

// Of rows in the memory of a CudaBackend.
template <typename Element>
Element* DevicePointer(const DeviceRows<Element>& rows) {
  return reinterpret_cast<Element*>(static_cast<uintptr_t>(rows.address));
}

// One NVIDIA GPU. Operations are launched on one stream, in order.
class CudaBackend final : public Backend {
 public:
  CudaBackend(int device, int threads);
  ~CudaBackend() override;

  Capabilities capabilities() const override;

  std::unique_ptr<DeviceMemory> Allocate(size_t bytes) override;
  MatrixPtr Pack(MatrixSource& source, WeightsFormat format) override;
  FfnPtr PackFfn(const FfnSource& source, WeightsFormat format) override;
  VectorPtr Store(std::vector<float> values) override;
  EmbeddingPtr PackEmbedding(MatrixSource& source, WeightsFormat format) override;
  std::unique_ptr<PagedCache> CreateCache(const KvCacheShape& shape, KvType type) override;
  size_t CacheBytes(const KvCacheShape& shape, KvType type) const override;
  std::unique_ptr<StateStore> CreateStates(const StateShape& shape) override;
  size_t StateBytes(const StateShape& shape) const override;

  std::unique_ptr<StepRows> Place(const SequenceRows& where) override;
  void Embed(const Embedding& table, std::span<const int32_t> tokens, float multiplier,
             const Tensor& output) override;
  void RmsNorm(const Tensor& x, const Vector& weight, float epsilon, const Tensor& output,
               const GridOutput* grid) override;
  void LayerNorm(const Tensor& x, const Vector& weight, const Vector* bias, float epsilon,
                 const Tensor& output, const GridOutput* grid) override;
  void Linear(const Tensor& x, std::span<const LinearOutput> outputs) override;
  void ProjectHeads(const Tensor& x, std::span<const MatrixPtr> matrices,
                    const Tensor& output) override;
  void Rotate(const Rope& rope, const StepRows& where, int head_dim, int first,
              std::span<const Tensor> tensors) override;
  void Attend(const AttentionParams& params, const StepRows& where, const Tensor& q,
              const Tensor& k, const Tensor& v, const Vector* sinks, PagedCache& cache,
              const Tensor& output, const KeySelection* selection) override;
  void SelectKeys(const SelectionParams& params, const StepRows& where, const Tensor& q,
                  const Tensor& k, const Tensor* weights, PagedCache& cache,
                  const KeySelection& output) override;
  void Fold(const FoldParams& params, const StepRows& where, const Tensor& values,
            const Tensor& gates, const Vector& bias, StateStore& states,
            const Tensor& output) override;
  void WriteEntries(const SlotLayout& layout, const StepRows& where, const Tensor& k,
                    PagedCache& cache) override;
  void SelectSlots(const SlotLayout& layout, int window, const StepRows& where,
                   const KeySelection* entries, const KeySelection& output) override;
  void ClearStates(std::span<const int32_t> slots, StateStore& states) override;
  void RunningSum(const Tensor& x, const StepRows& where, StateStore& states,
                  const Tensor& output) override;
  void Convolve(const Tensor& x, const Vector& taps, const Vector* bias, bool silu,
                const StepRows& where, StateStore& states, const Tensor& output) override;
  void SelectiveScan(const StepRows& where, const Tensor& x, const Tensor& steps,
                     const Vector& rates, const Tensor& write, const Tensor& read,
                     StateStore& states, const Tensor& output) override;
  void LinearAttend(const LinearAttentionParams& params, const StepRows& where, const Tensor& q,
                    const Tensor& k, const Tensor& v, const Tensor& decay, const Tensor& write,
                    StateStore& states, const Tensor& output) override;
  void ScaleByPosition(const QueryScaling& scaling, const StepRows& where,
                       const Tensor& x) override;
  void Gate(const Tensor& x, const Matrix& weight, const GateParams& params,
            const GateChoice& choice) override;
  void Forward(const Ffn& ffn, const Tensor& x, const Tensor& output) override;
  void Experts(std::span<const ExpertGroup> groups, std::span<const ExpertEntry> entries,
               ExpertWeights applied, const Tensor& x, const Grid& grid,
               const Totals& totals) override;

  void Copy(const Tensor& x, const Tensor& output) override;
  void Clamp(const Tensor& x, float limit) override;
  void Scale(const Tensor& x, float factor) override;
  void ScaleColumns(const Vector& factors, const Tensor& x) override;
  void Multiply(const Tensor& factors, const Tensor& x) override;
  void ScaleBySigmoid(const Tensor& gate, const Tensor& x) override;
  void ScaleBySilu(const Tensor& gate, const Tensor& x) override;
  void Sigmoid(const Tensor& x) override;
  void Softplus(const Vector& bias, float least, float most, const Tensor& x) override;
  void Decay(const Tensor& x, const Vector& rates, const Tensor& output) override;
  void Softcap(const Tensor& x, float cap) override;
  void AddScaled(const Tensor& y, float multiplier, const Tensor& x) override;
  void Round(const Tensor& x, ActivationType type) override;
  void WeighStreams(const StreamParams& params, const Vector& base, const Vector& scale,
                    const Tensor& x) override;
  void ReadStreams(const StreamParams& params, const Tensor& weights, const Tensor& x,
                   const Tensor& output) override;
  void WriteStreams(const StreamParams& params, const Tensor& weights, const Tensor& y,
                    const Tensor& x) override;
  void Gather(const Tensor& x, std::span<const int32_t> rows, const Tensor& output) override;

  void Clear(const Totals& totals) override;
  void AddTerms(const Tensor& terms, const Grid& grid, const Totals& totals) override;
  void AddEncoded(std::span<const int32_t> rows, PartialType type, std::span<const uint8_t> bytes,
                  const Totals& totals) override;
  void AddTotals(const Totals& totals, const Grid& grid, float multiplier,
                 const Tensor& x) override;
  void TakeTotals(const Totals& totals, const Grid& grid, const Tensor& output) override;
  EncodedTotals Encode(const Totals& totals) override;

  void Upload(ActivationType type, std::span<const uint8_t> bytes, const Tensor& output) override;
  void Upload(std::span<const int32_t> values, const DeviceIds& output) override;
  void Download(const Tensor& x, ActivationType type, std::span<uint8_t> bytes) override;
  void Download(const DeviceIds& x, std::span<int32_t> values) override;
  void Synchronise() override;

 private:
  // What make() gives, once more without slabs of weights that hold nothing where memory is short.
  template <typename Make>
  auto MakeRoom(const Make& make);
  // Of an array of the host in device memory, until the scope around the call ends.
  template <typename Element>
  const Element* Send(std::span<const Element> values, const char* purpose) {
    return static_cast<const Element*>(SendBytes(values.data(), values.size_bytes(), purpose));
  }
  const void* SendBytes(const void* values, size_t bytes, const char* purpose);
  // Copies to the device in order; the array is free at once.
  void SendTo(void* target, const void* values, size_t bytes, const char* purpose);
  void Receive(const void* source, void* host, size_t bytes, const char* purpose);
  // Waits, and hands out what was received.
  void Finish(const char* purpose);
  template <typename Element>
  Element* Scratch(int64_t rows, int64_t width) {
    return DevicePointer(scratch().Take<Element>(rows, width));
  }

  // Input of products with matrices that are stored alike; memory of the scratch arena.
  ProductInput InputOf(const float* x, int64_t rows, int64_t width, Storage storage);
  // Of the rows that entries name, times their weights where these apply to the input.
  ProductInput WeightedInput(const Tensor& x, std::span<const ExpertEntry> entries,
                             Storage storage);
  void AddSums(int64_t rows, int64_t width, ProductInput* input);
  void MultiplyRows(const CudaMatrix& matrix, const Vector* bias, const ProductInput& input,
                    int64_t rows, const Tensor& output);
  // Networks of groups of entries, all with matrices of the same kinds: down [entries, H].
  void RunNetworks(const NetworkBatch& batch, const ProductInput& input, float* output);
  ProductInput HiddenOf(const NetworkBatch& batch, const ProductInput& input);
  // Of groups that are stored alike, into the outputs of all entries.
  void RunExperts(std::span<const ExpertGroup> alike, std::span<const ExpertEntry> entries,
                  ExpertWeights applied, const Tensor& x, float* outputs);
  void AddExperts(std::span<const ExpertEntry> entries, ExpertWeights applied, const float* outputs,
                  const Grid& grid, const Totals& totals);

  int device_;
  Stream stream_;
  WeightLoading weights_;
  Staging staging_;
  std::shared_ptr<StepBuffers> step_buffers_;
  DeviceBuffer fault_;  // int: not 0 once a gate had logits that are not finite
};

}  // namespace conclave::cuda
