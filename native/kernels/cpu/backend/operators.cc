// The operations with kernels of their own: what these ask of rows is cut into pieces for threads.

#include <algorithm>
#include <vector>

#include "conclave/base/parallel_rows.h"
#include "kernels/cpu/backend.h"
#include "kernels/cpu/backend/weights.h"
#include "kernels/cpu/exact_sum/exact_sum.h"
#include "kernels/cpu/ops.h"

namespace conclave {

void CpuBackend::RmsNorm(const Tensor& x, const Vector& weight, float epsilon, const Tensor& output,
                         const GridOutput* grid) {
  const float* const in = HostPointer(x);
  float* const out = HostPointer(output);
  const int64_t width = weight.size();
  ParallelRows(pool(), x.rows, width, [&](int64_t first, int64_t end) {
    const int64_t at = first * x.width;
    // First: the output may be written over x.
    if (grid != nullptr) {
      FindGrid(isa_, in + at, epsilon, grid->bits, end - first, x.width,
               HostPointer(grid->exponents) + first);
    }
    conclave::RmsNorm(isa_, in + at, HostPointer(weight), epsilon, end - first, width, x.width,
                      out + at);
  });
}

void CpuBackend::LayerNorm(const Tensor& x, const Vector& weight, const Vector* bias, float epsilon,
                           const Tensor& output, const GridOutput* grid) {
  const float* const in = HostPointer(x);
  float* const out = HostPointer(output);
  const float* const added = bias != nullptr ? HostPointer(*bias) : nullptr;
  ParallelRows(pool(), x.rows, x.width * 2, [&](int64_t first, int64_t end) {
    const int64_t at = first * x.width;
    if (grid != nullptr) {
      FindGrid(isa_, in + at, epsilon, grid->bits, end - first, x.width,
               HostPointer(grid->exponents) + first);
    }
    conclave::LayerNorm(in + at, HostPointer(weight), added, epsilon, end - first, x.width,
                        out + at);
  });
}

void CpuBackend::Linear(const Tensor& x, std::span<const LinearOutput> outputs) {
  std::vector<const PackedMatrix*> matrices;
  std::vector<const float*> biases;
  std::vector<float*> results;
  for (const LinearOutput& output : outputs) {
    matrices.push_back(&PackedOf(*output.matrix));
    biases.push_back(output.bias != nullptr ? HostPointer(*output.bias) : nullptr);
    results.push_back(HostPointer(output.output));
  }
  kernels_->MatmulMany(pool(), matrices, HostPointer(x), x.rows, biases, results);
}

void CpuBackend::ProjectHeads(const Tensor& x, std::span<const MatrixPtr> matrices,
                              const Tensor& output) {
  // Heads one after the other, so that each is a product of its own rows.
  const Arena::Scope scope(scratch());
  const auto heads = static_cast<int64_t>(matrices.size());
  const int64_t in = matrices[0]->cols();
  const int64_t out = matrices[0]->rows();
  const int64_t width = x.width / heads;
  const int64_t rest = width - in;
  const Tensor inputs = scratch().Rows(heads * x.rows, in);
  const Tensor products = scratch().Rows(heads * x.rows, out);
  ParallelRows(pool(), x.rows * heads, in, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) {
      const int64_t place = i % heads * x.rows + i / heads;
      std::copy_n(HostPointer(x) + i * width, in, HostPointer(inputs) + place * in);
    }
  });
  std::vector<const PackedMatrix*> packed;
  for (const MatrixPtr& matrix : matrices) packed.push_back(&PackedOf(*matrix));
  kernels_->MatmulEach(pool(), packed, HostPointer(inputs), x.rows, HostPointer(products));
  ParallelRows(pool(), x.rows * heads, out + rest, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) {
      const int64_t place = i % heads * x.rows + i / heads;
      float* const row = HostPointer(output) + i * (out + rest);
      std::copy_n(HostPointer(products) + place * out, out, row);
      std::copy_n(HostPointer(x) + i * width + in, rest, row + out);
    }
  });
}

void CpuBackend::Rotate(const Rope& rope, const StepRows& where, int head_dim, int first,
                        std::span<const Tensor> tensors) {
  int64_t width = 0;
  for (const Tensor& tensor : tensors) width += tensor.width;
  const int32_t* const positions = where.where().positions.data();
  ParallelRows(pool(), where.rows(), width, [&](int64_t begin, int64_t end) {
    for (const Tensor& x : tensors) {
      ApplyRope(rope, positions + begin, end - begin, static_cast<int>(x.width / head_dim),
                head_dim, x.width, HostPointer(x) + begin * x.width + first);
    }
  });
}

void CpuBackend::Attend(const AttentionParams& params, const StepRows& where, const Tensor& q,
                        const Tensor& k, const Tensor& v, const Vector* sinks, PagedCache& cache,
                        const Tensor& output, const KeySelection* selection) {
  PagedAttention(isa_, pool(), params, where.where(), HostPointer(q), HostPointer(k),
                 HostPointer(v), sinks != nullptr ? HostPointer(*sinks) : nullptr, selection,
                 static_cast<KvCache&>(cache), HostPointer(output));
}

void CpuBackend::SelectKeys(const SelectionParams& params, const StepRows& where, const Tensor& q,
                            const Tensor& k, const Tensor* weights, PagedCache& cache,
                            const KeySelection& output) {
  SelectPositions(isa_, pool(), scratch(), params, where.where(), HostPointer(q), HostPointer(k),
                  weights != nullptr ? HostPointer(*weights) : nullptr,
                  static_cast<KvCache&>(cache), output);
}

void CpuBackend::Gate(const Tensor& x, const Matrix& weight, const GateParams& params,
                      const GateChoice& choice) {
  const Arena::Scope scope(scratch());
  const int64_t experts = weight.rows();
  const Tensor logits = scratch().Rows(x.rows, experts);
  const LinearOutput product{&weight, params.bias, logits};
  Linear(x, {&product, 1});
  if (params.softcap > 0) Softcap(logits, params.softcap);
  ParallelRows(pool(), x.rows, experts * 4, [&](int64_t first, int64_t end) {
    TopKGate(
        HostPointer(logits) + first * experts, end - first, static_cast<int>(experts), params,
        params.picked != nullptr ? HostPointer(*params.picked) + first * params.top_k : nullptr,
        HostPointer(choice.ids) + first * params.top_k,
        HostPointer(choice.weights) + first * params.top_k);
  });
}

void CpuBackend::Forward(const Ffn& ffn, const Tensor& x, const Tensor& output) {
  const FfnGroup group{&WeightsOf(ffn), 0, x.rows};
  kernels_->GroupedFfn(pool(), {&group, 1}, HostPointer(x), HostPointer(output));
}

}  // namespace conclave
