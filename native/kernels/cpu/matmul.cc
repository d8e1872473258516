// The matmuls over the tiles of one instruction set: activations are encoded once, then threads
// take tasks of some panels by some rows. Nothing here adds into an output element twice, so the
// order of its sum is the tile's alone.

#include "conclave/matmul.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "conclave/error.h"
#include "kernels/cpu/aligned_buffer.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/matmul_factory.h"
#include "kernels/cpu/matmul_layout.h"
#include "kernels/cpu/matmul_tasks.h"

namespace conclave {
namespace {

using Layout = PackedMatrix::Layout;

// Rows that go through all panels of a task before the next rows do: their activations stay in the
// L2 cache.
constexpr int64_t kRowBlock = 96;
// Encoding fewer elements than this is not worth a second thread.
constexpr int64_t kSerialEncode = 16 << 10;

size_t ActivationBytes(ActivationEncoding encoding, int64_t cols) {
  switch (encoding) {
    case ActivationEncoding::kF32:
    case ActivationEncoding::kRounded:
      return static_cast<size_t>(cols) * 4;
    case ActivationEncoding::kBF16:
      return static_cast<size_t>(cols) * 2;
    case ActivationEncoding::kQ8:
      return static_cast<size_t>(cols + cols / kColumnGroup * 8);
  }
  return 0;
}

// Distance between rows; an odd number of cache lines, so that rows of a tile fall into different
// cache sets.
int64_t ActivationStride(ActivationEncoding encoding, int64_t cols) {
  return RoundUp(static_cast<int64_t>(ActivationBytes(encoding, cols)), 64) | 64;
}

std::string Shape(const PackedMatrix& w) {
  return "[" + std::to_string(w.rows()) + ", " + std::to_string(w.cols()) + "]";
}

// Activations in every encoding that the weights of a call read.
class EncodedRows {
 public:
  void Reset(const TileKernels& tiles, const float* input, int64_t rows, int64_t cols) {
    tiles_ = &tiles;
    input_ = input;
    rows_ = rows;
    cols_ = cols;
    done_.fill(false);
  }

  void Require(ThreadPool& pool, ActivationEncoding encoding) {
    const auto index = static_cast<size_t>(encoding);
    if (done_[index]) return;
    const int64_t padded = RoundUp(cols_, kColumnGroup);
    const int64_t stride = ActivationStride(encoding, padded);
    uint8_t* out = buffers_[index].Reserve(static_cast<size_t>(rows_ * stride));
    const auto encode = tiles_->encode[index];
    const int64_t whole = cols_ / kColumnGroup * kColumnGroup;
    const auto encode_rows = [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float* x = input_ + row * cols_;
        encode(x, 0, whole, padded, out + row * stride);
        if (whole == cols_) continue;
        float tail[kColumnGroup] = {};
        std::copy(x + whole, x + cols_, tail);
        encode(tail, whole, kColumnGroup, padded, out + row * stride);
      }
    };
    const int64_t chunk = std::max<int64_t>(1, kSerialEncode / cols_);
    if (rows_ <= chunk) {
      encode_rows(0, rows_);
    } else {
      pool.ParallelFor((rows_ + chunk - 1) / chunk, [&](int64_t task, int /*thread*/) {
        encode_rows(task * chunk, std::min(rows_, (task + 1) * chunk));
      });
    }
    done_[index] = true;
  }

  const uint8_t* Row(ActivationEncoding encoding, int64_t row) const {
    return buffers_[static_cast<size_t>(encoding)].data() + row * Stride(encoding);
  }
  int64_t Stride(ActivationEncoding encoding) const {
    return ActivationStride(encoding, RoundUp(cols_, kColumnGroup));
  }

 private:
  const TileKernels* tiles_ = nullptr;
  const float* input_ = nullptr;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  std::array<bool, kActivationEncodings> done_{};
  std::array<AlignedBuffer, kActivationEncodings> buffers_;
};

// Rows of activations times panels of w, written to output [rows, >= columns of the panels].
struct PanelProduct {
  const Layout& w;
  const uint8_t* activations;
  int64_t activation_stride;

  void Run(int64_t panel, int64_t row, int64_t rows, float* output, int64_t output_stride) const {
    w.kernel->multiply({.panel = w.panel(panel),
                        .cols = w.padded_cols,
                        .activations = activations + row * activation_stride,
                        .activation_stride = activation_stride,
                        .rows = rows,
                        .output = output,
                        .output_stride = output_stride});
  }
};

class TiledMatmul final : public MatmulKernels {
 public:
  explicit TiledMatmul(const TileKernels& tiles) : tiles_(tiles) {}

  Isa isa() const override { return tiles_.isa; }

  PackedMatrix Pack(const SourceMatrix& source, WeightsFormat format) const override {
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

  void GroupedFfn(ThreadPool& pool, std::span<const FfnGroup> groups, const float* input,
                  float* output) override;

 private:
  // Every product's panels into its outputs. y[i] is product i's output [rows, w.rows]; bias[i] may
  // be null.
  struct Product {
    PanelProduct product;
    int64_t rows;
    const float* bias;
    float* output;
  };

  const Layout& CheckPacked(const PackedMatrix& w, const char* name) const;
  ProductExtent Extent(const Layout& w, int64_t rows, int64_t panel_multiple) const;
  void RunProducts(ThreadPool& pool, std::span<const Product> products);
  void RunProductTask(const Product& product, const MatmulTask& task, float* partial) const;
  void RunGateUpTask(const FfnGroup& group, const MatmulTask& task, int64_t first_row,
                     float* scratch);
  void CheckGroups(std::span<const FfnGroup> groups) const;
  std::span<AlignedBuffer> ThreadScratch(ThreadPool& pool, size_t bytes);

  const TileKernels& tiles_;
  mutable WeightMemory memory_;
  EncodedRows encoded_;
  AlignedBuffer intermediate_;
  int64_t intermediate_stride_ = 0;
  std::vector<AlignedBuffer> scratch_;
  std::vector<ProductExtent> extents_;
  std::vector<MatmulTask> tasks_;
  std::vector<Product> products_;
};

const Layout& TiledMatmul::CheckPacked(const PackedMatrix& w, const char* name) const {
  if (!w)
    throw Error(ErrorCode::kInvalidArgument,
                std::string(name) + ": expected packed weights, got none");
  if (w.layout()->tiles != &tiles_) {
    throw Error(ErrorCode::kInvalidArgument,
                std::string(name) + ": packed for another instruction set");
  }
  return *w.layout();
}

ProductExtent TiledMatmul::Extent(const Layout& w, int64_t rows, int64_t panel_multiple) const {
  return {.panels = w.panels,
          .panel_multiple = panel_multiple,
          .rows = rows,
          .panel_bytes = static_cast<int64_t>(w.panel_bytes),
          .panel_macs = w.padded_cols * tiles_.panel_rows};
}

std::span<AlignedBuffer> TiledMatmul::ThreadScratch(ThreadPool& pool, size_t bytes) {
  scratch_.resize(std::max(scratch_.size(), static_cast<size_t>(pool.threads())));
  for (AlignedBuffer& buffer : scratch_) buffer.Reserve(bytes);
  return scratch_;
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
  for (const PackedMatrix* matrix : w) {
    CheckPacked(*matrix, "w");
    if (matrix->cols() != w[0]->cols()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "MatmulMany: expected matrices of equal columns, got " + Shape(*w[0]) + " and " +
                      Shape(*matrix));
    }
  }
  if (m == 0 || w.empty()) return;

  encoded_.Reset(tiles_, input, m, w[0]->cols());
  products_.clear();
  for (size_t i = 0; i < w.size(); ++i) {
    const Layout& layout = *w[i]->layout();
    const ActivationEncoding encoding = layout.kernel->activations;
    encoded_.Require(pool, encoding);
    products_.push_back(
        {{layout, encoded_.Row(encoding, 0), encoded_.Stride(encoding)}, m, bias[i], output[i]});
  }
  RunProducts(pool, products_);
}

void TiledMatmul::RunProducts(ThreadPool& pool, std::span<const Product> products) {
  extents_.clear();
  for (const Product& product : products)
    extents_.push_back(Extent(product.product.w, product.rows, 1));
  CutIntoTasks(extents_, pool.threads(), tasks_);
  const auto scratch =
      ThreadScratch(pool, static_cast<size_t>(kRowBlock * tiles_.panel_rows) * sizeof(float));
  pool.ParallelFor(static_cast<int64_t>(tasks_.size()), [&](int64_t index, int thread) {
    const MatmulTask& task = tasks_[static_cast<size_t>(index)];
    RunProductTask(products[static_cast<size_t>(task.product)], task,
                   reinterpret_cast<float*>(scratch[static_cast<size_t>(thread)].data()));
  });
}

void TiledMatmul::RunProductTask(const Product& product, const MatmulTask& task,
                                 float* partial) const {
  const int64_t width = product.product.w.rows;
  for (int64_t row = task.row_begin; row < task.row_end; row += kRowBlock) {
    const int64_t rows = std::min(kRowBlock, task.row_end - row);
    for (int64_t panel = task.panel_begin; panel < task.panel_end; ++panel) {
      const int64_t first = panel * tiles_.panel_rows;
      const int64_t columns = std::min<int64_t>(tiles_.panel_rows, width - first);
      float* output = product.output + row * width + first;
      if (columns == tiles_.panel_rows) {
        product.product.Run(panel, row, rows, output, width);
      } else {
        product.product.Run(panel, row, rows, partial, tiles_.panel_rows);
        for (int64_t i = 0; i < rows; ++i)
          std::copy_n(partial + i * tiles_.panel_rows, columns, output + i * width);
      }
      if (product.bias == nullptr) continue;
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = 0; j < columns; ++j) output[i * width + j] += product.bias[first + j];
      }
    }
  }
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
    const FfnWeights& weights = *group.weights;
    CheckPacked(weights.gate, "gate");
    CheckPacked(weights.up, "up");
    CheckPacked(weights.down, "down");
    const int64_t hidden = groups[0].weights->gate.cols();
    const int64_t width = weights.gate.rows();
    if (weights.gate.cols() != hidden || weights.up.cols() != hidden ||
        weights.up.rows() != width || weights.down.rows() != hidden ||
        weights.down.cols() != width) {
      throw Error(ErrorCode::kInvalidArgument,
                  name + ": expected gate and up [I, " + std::to_string(hidden) + "] and down [" +
                      std::to_string(hidden) + ", I], got " + Shape(weights.gate) + ", " +
                      Shape(weights.up) + ", " + Shape(weights.down));
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
  const int64_t hidden = groups[0].weights->gate.cols();

  encoded_.Reset(tiles_, input + first_row * hidden, rows, hidden);
  intermediate_stride_ = 0;
  extents_.clear();
  const int64_t panel_multiple = std::max<int64_t>(1, kColumnGroup / tiles_.panel_rows);
  for (const FfnGroup& group : groups) {
    const Layout& gate = *group.weights->gate.layout();
    const Layout& down = *group.weights->down.layout();
    encoded_.Require(pool, gate.kernel->activations);
    encoded_.Require(pool, group.weights->up.layout()->kernel->activations);
    intermediate_stride_ = std::max(intermediate_stride_,
                                    ActivationStride(down.kernel->activations, down.padded_cols));
    extents_.push_back(Extent(gate, group.end - group.begin, panel_multiple));
  }
  intermediate_.Reserve(static_cast<size_t>(rows * intermediate_stride_));

  CutIntoTasks(extents_, pool.threads(), tasks_);
  int64_t widest = 0;
  for (const MatmulTask& task : tasks_)
    widest = std::max(widest, task.panel_end - task.panel_begin);
  widest = RoundUp(widest * tiles_.panel_rows, kColumnGroup);
  const auto scratch =
      ThreadScratch(pool, static_cast<size_t>(2 * kRowBlock * widest) * sizeof(float));
  pool.ParallelFor(static_cast<int64_t>(tasks_.size()), [&](int64_t index, int thread) {
    const MatmulTask& task = tasks_[static_cast<size_t>(index)];
    RunGateUpTask(groups[static_cast<size_t>(task.product)], task, first_row,
                  reinterpret_cast<float*>(scratch[static_cast<size_t>(thread)].data()));
  });

  products_.clear();
  for (const FfnGroup& group : groups) {
    const uint8_t* x = intermediate_.data() + (group.begin - first_row) * intermediate_stride_;
    products_.push_back({{*group.weights->down.layout(), x, intermediate_stride_},
                         group.end - group.begin,
                         nullptr,
                         output + group.begin * hidden});
  }
  RunProducts(pool, products_);
}

// act(gate(x)) * up(x) for some columns of the intermediate dimension, encoded as down reads it.
void TiledMatmul::RunGateUpTask(const FfnGroup& group, const MatmulTask& task, int64_t first_row,
                                float* scratch) {
  const FfnWeights& weights = *group.weights;
  const Layout& gate_layout = *weights.gate.layout();
  const Layout& up_layout = *weights.up.layout();
  const Layout& down = *weights.down.layout();
  const int64_t group_row = group.begin - first_row;
  const auto product = [&](const Layout& w) {
    const ActivationEncoding encoding = w.kernel->activations;
    return PanelProduct{w, encoded_.Row(encoding, group_row), encoded_.Stride(encoding)};
  };
  const PanelProduct gate_product = product(gate_layout);
  const PanelProduct up_product = product(up_layout);
  const auto encode = tiles_.encode[static_cast<size_t>(down.kernel->activations)];

  const int64_t first = task.panel_begin * tiles_.panel_rows;
  const int64_t columns = std::min(task.panel_end * tiles_.panel_rows, gate_layout.rows) - first;
  const int64_t padded = RoundUp(columns, kColumnGroup);
  const int64_t stride = std::max(padded, (task.panel_end - task.panel_begin) * tiles_.panel_rows);
  float* gate = scratch;
  float* up = scratch + kRowBlock * stride;
  for (int64_t row = task.row_begin; row < task.row_end; row += kRowBlock) {
    const int64_t rows = std::min(kRowBlock, task.row_end - row);
    for (int64_t panel = task.panel_begin; panel < task.panel_end; ++panel) {
      const int64_t column = (panel - task.panel_begin) * tiles_.panel_rows;
      gate_product.Run(panel, row, rows, gate + column, stride);
      up_product.Run(panel, row, rows, up + column, stride);
    }
    for (int64_t i = 0; i < rows; ++i) {
      float* gate_row = gate + i * stride;
      float* up_row = up + i * stride;
      std::fill(gate_row + columns, gate_row + padded, 0.0f);
      std::fill(up_row + columns, up_row + padded, 0.0f);
      tiles_.activate(weights.activation, up_row, padded, gate_row);
      encode(gate_row, first, padded, down.padded_cols,
             intermediate_.data() + (group_row + row + i) * intermediate_stride_);
    }
  }
}

}  // namespace

std::unique_ptr<MatmulKernels> CreateMatmulKernels(const TileKernels& tiles) {
  return std::make_unique<TiledMatmul>(tiles);
}

std::unique_ptr<MatmulKernels> CreateMatmulKernels(Isa isa) {
  return CreateMatmulKernels(TilesFor(isa, DetectCpuFeatures()));
}

}  // namespace conclave
