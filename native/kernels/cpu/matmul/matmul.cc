// The matmuls over the tiles of one instruction set: activations are encoded once, then threads
// take tasks of some panels by some rows. Nothing here adds into an output element twice, so the
// order of its sum is the tile's alone.

#include "kernels/cpu/matmul/matmul.h"

#include <algorithm>
#include <string>
#include <vector>

#include "conclave/base/error.h"
#include "kernels/cpu/machine/cpu_features.h"
#include "kernels/cpu/matmul/aligned_buffer.h"
#include "kernels/cpu/matmul/encoded_rows.h"
#include "kernels/cpu/matmul/factory.h"
#include "kernels/cpu/matmul/layout.h"
#include "kernels/cpu/matmul/product.h"
#include "kernels/cpu/matmul/tasks.h"

namespace conclave {
namespace {

using Layout = PackedMatrix::Layout;

std::string Shape(const PackedMatrix& w) {
  return "[" + std::to_string(w.rows()) + ", " + std::to_string(w.cols()) + "]";
}

class TiledMatmul final : public MatmulKernels {
 public:
  explicit TiledMatmul(const TileKernels& tiles) : tiles_(tiles) {}

  Isa isa() const override { return tiles_.isa; }

  PackedMatrix Pack(MatrixSource& source, WeightsFormat format) const override {
    return PackMatrix(tiles_, source, format, memory_);
  }

  void Matmul(ThreadPool& pool, const PackedMatrix& w, const float* input, int64_t m,
              const float* bias, float* output) override {
    const PackedMatrix* const ws[] = {&w};
    MatmulMany(pool, ws, input, m, {&bias, 1}, {&output, 1});
  }

  void MatmulMany(ThreadPool& pool, std::span<const PackedMatrix* const> w, const float* input,
                  int64_t m, std::span<const float* const> bias,
                  std::span<float* const> output) override;

  void MatmulEach(ThreadPool& pool, std::span<const PackedMatrix* const> w, const float* input,
                  int64_t m, float* output) override;

  void GroupedFfn(ThreadPool& pool, std::span<const FfnGroup> groups, const float* input,
                  float* output) override;

 private:
  void CheckPacked(const PackedMatrix& w, const std::string& name) const;
  void CheckGroups(std::span<const FfnGroup> groups) const;
  Product Encode(ThreadPool& pool, const PackedMatrix& w, int64_t first_row, int64_t rows);
  ProductExtent Extent(const Layout& w, int64_t rows) const;
  void RunProducts(ThreadPool& pool);
  template <typename Work>
  void RunTasks(ThreadPool& pool, const std::vector<Work>& work);

  const TileKernels& tiles_;
  mutable WeightMemory memory_;
  EncodedRows encoded_;
  AlignedBuffer intermediate_;
  std::vector<AlignedBuffer> scratch_;  // of each thread
  std::vector<Product> products_;
  std::vector<GateUp> gate_ups_;
  std::vector<ProductExtent> extents_;
  std::vector<MatmulTask> tasks_;
};

void TiledMatmul::CheckPacked(const PackedMatrix& w, const std::string& name) const {
  if (!w) throw Error(ErrorCode::kInvalidArgument, name + ": expected packed weights, got none");
  if (w.layout()->tiles != &tiles_) {
    throw Error(ErrorCode::kInvalidArgument, name + ": packed for another instruction set");
  }
}

Product TiledMatmul::Encode(ThreadPool& pool, const PackedMatrix& w, int64_t first_row,
                            int64_t rows) {
  const ActivationEncoding encoding = w.layout()->kernel->activations;
  encoded_.Require(pool, encoding);
  return {.w = *w.layout(),
          .activations = encoded_.Row(encoding, first_row),
          .activation_stride = encoded_.Stride(encoding),
          .rows = rows,
          .bias = nullptr,
          .output = nullptr};
}

ProductExtent TiledMatmul::Extent(const Layout& w, int64_t rows) const {
  return {.panels = w.panels,
          .panel_multiple = 1,
          .rows = rows,
          .panel_bytes = static_cast<int64_t>(w.panel_bytes),
          .panel_macs = w.padded_cols * tiles_.panel_rows};
}

template <typename Work>
void TiledMatmul::RunTasks(ThreadPool& pool, const std::vector<Work>& work) {
  CutIntoTasks(extents_, pool.threads(), tasks_);
  scratch_.resize(std::max(scratch_.size(), static_cast<size_t>(pool.threads())));
  for (AlignedBuffer& buffer : scratch_) {
    buffer.Reserve(ScratchBytes(tiles_));
  }
  pool.ParallelFor(static_cast<int64_t>(tasks_.size()), [&](int64_t index, int thread) {
    const MatmulTask& task = tasks_[static_cast<size_t>(index)];
    work[static_cast<size_t>(task.product)].Run(
        task, reinterpret_cast<float*>(scratch_[static_cast<size_t>(thread)].data()));
  });
}

void TiledMatmul::RunProducts(ThreadPool& pool) {
  extents_.clear();
  for (const Product& product : products_) extents_.push_back(Extent(product.w, product.rows));
  RunTasks(pool, products_);
}

void TiledMatmul::MatmulMany(ThreadPool& pool, std::span<const PackedMatrix* const> w,
                             const float* input, int64_t m, std::span<const float* const> bias,
                             std::span<float* const> output) {
  if (bias.size() != w.size() || output.size() != w.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                "MatmulMany: expected " + std::to_string(w.size()) + " biases and outputs, got " +
                    std::to_string(bias.size()) + " and " + std::to_string(output.size()));
  }
  if (m < 0)
    throw Error(ErrorCode::kInvalidArgument, "m: expected at least 0, got " + std::to_string(m));
  for (size_t i = 0; i < w.size(); ++i) {
    CheckPacked(*w[i], "w[" + std::to_string(i) + "]");
    if (w[i]->cols() != w[0]->cols()) {
      throw Error(ErrorCode::kInvalidArgument, "w[" + std::to_string(i) + "]: expected [*, " +
                                                   std::to_string(w[0]->cols()) +
                                                   "] as w[0], got " + Shape(*w[i]));
    }
  }
  if (m == 0 || w.empty()) return;

  encoded_.Reset(tiles_, input, m, w[0]->cols());
  products_.clear();
  for (size_t i = 0; i < w.size(); ++i) {
    products_.push_back(Encode(pool, *w[i], 0, m));
    products_.back().bias = bias[i];
    products_.back().output = output[i];
  }
  RunProducts(pool);
}

void TiledMatmul::MatmulEach(ThreadPool& pool, std::span<const PackedMatrix* const> w,
                             const float* input, int64_t m, float* output) {
  const auto count = static_cast<int64_t>(w.size());
  for (size_t i = 0; i < w.size(); ++i) {
    const std::string name = "w[" + std::to_string(i) + "]";
    CheckPacked(*w[i], name);
    if (w[i]->cols() != w[0]->cols() || w[i]->rows() != w[0]->rows()) {
      throw Error(ErrorCode::kInvalidArgument,
                  name + ": expected " + Shape(*w[0]) + " as w[0], got " + Shape(*w[i]));
    }
  }
  if (m == 0 || w.empty()) return;

  encoded_.Reset(tiles_, input, count * m, w[0]->cols());
  products_.clear();
  for (int64_t i = 0; i < count; ++i) {
    products_.push_back(Encode(pool, *w[static_cast<size_t>(i)], i * m, m));
    products_.back().output = output + i * m * w[0]->rows();
  }
  RunProducts(pool);
}

void TiledMatmul::CheckGroups(std::span<const FfnGroup> groups) const {
  int64_t last_end = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    const FfnGroup& group = groups[i];
    const std::string name = "groups[" + std::to_string(i) + "]";
    if (group.begin < last_end || group.end < group.begin) {
      throw Error(ErrorCode::kInvalidArgument,
                  name + ": expected rows from " + std::to_string(last_end) + " on, got [" +
                      std::to_string(group.begin) + ", " + std::to_string(group.end) + ")");
    }
    last_end = group.end;
    if (group.weights == nullptr)
      throw Error(ErrorCode::kInvalidArgument, name + ": expected weights, got none");
    const PackedMatrix& gate = group.weights->gate;
    const PackedMatrix& up = group.weights->up;
    const PackedMatrix& down = group.weights->down;
    const bool has_gate = static_cast<bool>(gate);
    if (has_gate) CheckPacked(gate, name + ".gate");
    CheckPacked(up, name + ".up");
    CheckPacked(down, name + ".down");
    const int64_t hidden = groups[0].weights->up.cols();
    const bool fits = !has_gate || (gate.cols() == hidden && gate.rows() == up.rows());
    if (!fits || up.cols() != hidden || down.rows() != hidden || down.cols() != up.rows()) {
      throw Error(ErrorCode::kInvalidArgument,
                  name + ": expected gate and up [I, " + std::to_string(hidden) + "] and down [" +
                      std::to_string(hidden) + ", I], got " + (has_gate ? Shape(gate) : "none") +
                      ", " + Shape(up) + ", " + Shape(down));
    }
  }
}

void TiledMatmul::GroupedFfn(ThreadPool& pool, std::span<const FfnGroup> groups, const float* input,
                             float* output) {
  CheckGroups(groups);
  if (groups.empty()) return;
  const int64_t first_row = groups.front().begin;
  const int64_t rows = groups.back().end - first_row;
  if (rows == 0) return;
  const int64_t hidden = groups[0].weights->up.cols();

  // 1. Room for the intermediate rows.
  int64_t stride = 0;
  for (const FfnGroup& group : groups) {
    const Layout& down = *group.weights->down.layout();
    stride = std::max(stride, ActivationStride(down.kernel->activations, down.padded_cols));
  }
  uint8_t* const intermediate = intermediate_.Reserve(static_cast<size_t>(rows * stride));

  // 2. Gate and up.
  encoded_.Reset(tiles_, input + first_row * hidden, rows, hidden);
  gate_ups_.clear();
  extents_.clear();
  for (const FfnGroup& group : groups) {
    const int64_t row = group.begin - first_row;
    const int64_t count = group.end - group.begin;
    const Layout& down = *group.weights->down.layout();
    const bool has_gate = static_cast<bool>(group.weights->gate);
    const PackedMatrix& gate = has_gate ? group.weights->gate : group.weights->up;
    gate_ups_.push_back({.has_gate = has_gate,
                         .gate = Encode(pool, gate, row, count),
                         .up = Encode(pool, group.weights->up, row, count),
                         .activation = group.weights->activation,
                         .encode = tiles_.encode[static_cast<size_t>(down.kernel->activations)],
                         .padded_width = down.padded_cols,
                         .intermediate = intermediate + row * stride,
                         .intermediate_stride = stride});
    gate_ups_.back().gate.bias = group.weights->gate_bias;
    gate_ups_.back().up.bias = group.weights->up_bias;
    ProductExtent extent = Extent(gate_ups_.back().gate.w, count);
    extent.panel_multiple = GateUp::UnitPanels(tiles_);
    if (has_gate) {
      extent.panel_bytes += static_cast<int64_t>(gate_ups_.back().up.w.panel_bytes);
      extent.panel_macs *= 2;
    }
    extents_.push_back(extent);
  }
  RunTasks(pool, gate_ups_);

  // 3. Down.
  products_.clear();
  for (const FfnGroup& group : groups) {
    products_.push_back({.w = *group.weights->down.layout(),
                         .activations = intermediate + (group.begin - first_row) * stride,
                         .activation_stride = stride,
                         .rows = group.end - group.begin,
                         .bias = group.weights->down_bias,
                         .output = output + group.begin * hidden});
  }
  RunProducts(pool);
}

}  // namespace

std::unique_ptr<MatmulKernels> CreateMatmulKernels(const TileKernels& tiles) {
  return std::make_unique<TiledMatmul>(tiles);
}

std::unique_ptr<MatmulKernels> CreateMatmulKernels(Isa isa, Bf16Pairs pairs) {
  return CreateMatmulKernels(TilesFor(isa, DetectCpuFeatures(), pairs));
}

}  // namespace conclave
