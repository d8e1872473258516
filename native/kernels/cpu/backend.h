#pragma once

#include <memory>
#include <span>

#include "conclave/backend/host_backend.h"
#include "kernels/cpu/matmul/matmul.h"
#include "kernels/cpu/matmul/tile.h"

namespace conclave {

// The CPU, with the kernels of one instruction set.
class CpuBackend final : public HostBackend {
 public:
  // Throws kUnsupported when this CPU lacks the instruction set.
  CpuBackend(int threads, Isa isa, Bf16Pairs pairs = Bf16Pairs::kWhereFast);
  // With some of its extensions only.
  CpuBackend(int threads, const TileKernels& tiles);
  ~CpuBackend() override;

  Capabilities capabilities() const override;
  Isa isa() const { return isa_; }

  MatrixPtr Pack(MatrixSource& source, WeightsFormat format) override;
  FfnPtr PackFfn(const FfnSource& source, WeightsFormat format) override;
  std::unique_ptr<PagedCache> CreateCache(const KvCacheShape& shape, KvType type) override;
  size_t CacheBytes(const KvCacheShape& shape, KvType type) const override;

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
  void ScaleByPosition(const QueryScaling& scaling, const StepRows& where,
                       const Tensor& x) override;
  void Fold(const FoldParams& params, const StepRows& where, const Tensor& values,
            const Tensor& gates, const Vector& bias, StateStore& states,
            const Tensor& output) override;
  void WriteEntries(const SlotLayout& layout, const StepRows& where, const Tensor& k,
                    PagedCache& cache) override;
  void SelectSlots(const SlotLayout& layout, int window, const StepRows& where,
                   const KeySelection* entries, const KeySelection& output) override;
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
  void Gate(const Tensor& x, const Matrix& weight, const GateParams& params,
            const GateChoice& choice) override;
  void Forward(const Ffn& ffn, const Tensor& x, const Tensor& output) override;
  void Experts(std::span<const ExpertGroup> groups, std::span<const ExpertEntry> entries,
               ExpertWeights applied, const Tensor& x, const Grid& grid,
               const Totals& totals) override;

  void Clamp(const Tensor& x, float limit) override;
  void Scale(const Tensor& x, float factor) override;
  void ScaleColumns(const Vector& factors, const Tensor& x) override;
  void Softcap(const Tensor& x, float cap) override;
  void Multiply(const Tensor& factors, const Tensor& x) override;
  void ScaleBySigmoid(const Tensor& gate, const Tensor& x) override;
  void ScaleBySilu(const Tensor& gate, const Tensor& x) override;
  void Sigmoid(const Tensor& x) override;
  void Softplus(const Vector& bias, float least, float most, const Tensor& x) override;
  void Decay(const Tensor& x, const Vector& rates, const Tensor& output) override;
  void AddScaled(const Tensor& y, float multiplier, const Tensor& x) override;
  void Round(const Tensor& x, ActivationType type) override;
  void WeighStreams(const StreamParams& params, const Vector& base, const Vector& scale,
                    const Tensor& x) override;
  void ReadStreams(const StreamParams& params, const Tensor& weights, const Tensor& x,
                   const Tensor& output) override;
  void WriteStreams(const StreamParams& params, const Tensor& weights, const Tensor& y,
                    const Tensor& x) override;

  void Clear(const Totals& totals) override;
  void AddTerms(const Tensor& terms, const Grid& grid, const Totals& totals) override;
  void AddEncoded(std::span<const int32_t> rows, PartialType type, std::span<const uint8_t> bytes,
                  const Totals& totals) override;
  void AddTotals(const Totals& totals, const Grid& grid, float multiplier,
                 const Tensor& x) override;
  void TakeTotals(const Totals& totals, const Grid& grid, const Tensor& output) override;
  EncodedTotals Encode(const Totals& totals) override;

 private:
  Isa isa_;
  std::unique_ptr<MatmulKernels> kernels_;
};

}  // namespace conclave
