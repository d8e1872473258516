#pragma once

// y = x W^T over weights in the layout that the chosen kernel reads.
//
// Every output element is a fixed function of its row of x and its row of W: it depends neither on
// how many other rows there are, nor on their place in a tile, nor on the number of threads. So a
// sequence gets the same tokens whatever else is in its batch.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "conclave/base/matrix_source.h"
#include "conclave/base/operator_parameters.h"
#include "conclave/base/thread_pool.h"

namespace conclave {

enum class Isa { kPortable, kAvx2, kAvx512 };
const char* IsaName(Isa isa);

// Where bf16 weights are multiplied by activations that are rounded to bf16: where the CPU does it
// faster, or always, which kPortable and a CPU with AVX-512 BF16 can.
enum class Bf16Pairs { kWhereFast, kAlways };

// A weight matrix W [rows, cols] packed for one kernel. Copies share the storage.
class PackedMatrix {
 public:
  struct Layout;  // Defined by the kernels.
  PackedMatrix() = default;
  explicit PackedMatrix(std::shared_ptr<const Layout> layout) : layout_(std::move(layout)) {}
  int64_t rows() const;
  int64_t cols() const;
  // Bytes read to multiply by the whole matrix once.
  size_t bytes() const;
  const Layout* layout() const { return layout_.get(); }
  explicit operator bool() const { return layout_ != nullptr; }

 private:
  std::shared_ptr<const Layout> layout_;
};

// gate, up [I, H]; down [H, I]; biases, where there are any, [I], [I] and [H]. The gate may be
// missing: its activation reads up alone.
struct FfnWeights {
  PackedMatrix gate;
  PackedMatrix up;
  PackedMatrix down;
  const float* gate_bias = nullptr;
  const float* up_bias = nullptr;
  const float* down_bias = nullptr;
  ActivationParams activation = {};
};

// Rows [begin, end) of a sorted input go through one expert.
struct FfnGroup {
  const FfnWeights* weights;
  int64_t begin;
  int64_t end;
};

// The kernels of one instruction set. Stateless but for scratch memory that it reuses between
// calls: one call at a time.
class MatmulKernels {
 public:
  virtual ~MatmulKernels() = default;

  virtual Isa isa() const = 0;

  // Throws what the source throws. Thread safe.
  virtual PackedMatrix Pack(MatrixSource& source, WeightsFormat format) const = 0;

  // output[m, w.rows] = input[m, w.cols] W^T (+ bias[w.rows] when not null). f32, row-major, dense.
  virtual void Matmul(ThreadPool& pool, const PackedMatrix& w, const float* input, int64_t m,
                      const float* bias, float* output) = 0;

  // Several matrices with one input, as for q, k and v: output i is [m, w[i].rows]. bias[i] may be
  // null. One pass over the threads.
  virtual void MatmulMany(ThreadPool& pool, std::span<const PackedMatrix* const> w,
                          const float* input, int64_t m, std::span<const float* const> bias,
                          std::span<float* const> output) = 0;

  // Matrices of one shape with inputs of their own: output[i] = input[i] w[i]^T, where input
  // [matrices, m, cols] and output [matrices, m, rows]. One pass over the threads.
  virtual void MatmulEach(ThreadPool& pool, std::span<const PackedMatrix* const> w,
                          const float* input, int64_t m, float* output) = 0;

  // For every group: output[r] = down(act(gate(input[r]), up(input[r]))), rows r in [begin, end).
  // Groups are disjoint and ascending; input and output are f32 [rows, H]. Each group's weights are
  // read once.
  virtual void GroupedFfn(ThreadPool& pool, std::span<const FfnGroup> groups, const float* input,
                          float* output) = 0;
};

// Instruction sets of this machine, portable first.
std::vector<Isa> SupportedIsas();

std::unique_ptr<MatmulKernels> CreateMatmulKernels(Isa isa,
                                                   Bf16Pairs pairs = Bf16Pairs::kWhereFast);

}  // namespace conclave
