// Products with matrices, and their input in the encodings that these read.

#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

// output[r, i] = factors[r] * input[rows[r], i], as Element; zeros from `width` on.
template <typename Element>
struct EncodeRow {
  const float* input;
  int64_t input_stride;
  const int32_t* rows;   // null: row r itself
  const float* factors;  // null: 1
  int64_t width;
  int64_t stride;  // of the output
  Element* output;
  __device__ void operator()(int64_t i) const {
    const int64_t row = i / stride, col = i % stride;
    float value = 0;
    if (col < width) value = input[(rows != nullptr ? rows[row] : row) * input_stride + col];
    if (factors != nullptr && col < width) value *= factors[row];
    output[i] = FromFloat<Element>(value);
  }
};

// sums[r, g] = sum of the elements of group g of row r.
struct SumGroups {
  const Bf16* rows;
  int64_t stride;
  int64_t groups;
  float* sums;
  __device__ void operator()(int64_t i) const {
    const Bf16* const row = rows + i / groups * stride;
    const int64_t first = i % groups * kQuantisedGroup;
    const int64_t end = first + kQuantisedGroup < stride ? first + kQuantisedGroup : stride;
    float sum = 0;
    for (int64_t k = first; k < end; ++k) sum += ToFloat(row[k]);
    sums[i] = sum;
  }
};

// Head h of row r from [rows, heads, width], to row h * rows + r.
struct SplitHeads {
  const float* x;
  int64_t rows;
  int64_t heads;
  int64_t width;
  int64_t taken;
  float* output;  // [heads * rows, taken]
  __device__ void operator()(int64_t i) const {
    const int64_t at = i / taken;
    output[i] = x[(at % rows * heads + at / rows) * width + i % taken];
  }
};

// [rows, heads, made + rest] from [heads * rows, made] and what follows the first `width` - rest
// elements of each head of x.
struct JoinHeads {
  const float* products;
  const float* x;  // [rows, heads, width]
  int64_t rows;
  int64_t heads;
  int64_t width;
  int64_t made;
  int64_t rest;
  float* output;
  __device__ void operator()(int64_t i) const {
    const int64_t head = i / (made + rest), col = i % (made + rest);
    const int64_t from = (head % heads * rows + head / heads) * made + col;
    output[i] = col < made ? products[from] : x[head * width + width - rest + col - made];
  }
};

ProductArguments ArgumentsOf(const ProductInput& input, int64_t entries, const Tensor& output,
                             const CudaMatrix& matrix) {
  ProductArguments arguments{};
  arguments.entries = entries;
  arguments.entry_rows = input.entry_rows;
  arguments.input = input.rows;
  arguments.input_stride = input.stride;
  arguments.input_sums = input.sums;
  arguments.sum_stride = input.sum_stride;
  arguments.output = DevicePointer(output);
  arguments.output_stride = output.width;
  arguments.depth = matrix.view().cols;
  arguments.cols = matrix.view().rows;
  return arguments;
}

}  // namespace

ProductInput CudaBackend::InputOf(const float* x, int64_t rows, int64_t width, Storage storage) {
  if (IsExact(storage)) return {.rows = x, .stride = width};
  ProductInput input{.stride = RoundUp(width, 8)};
  Bf16* const halves = Scratch<Bf16>(rows, input.stride);
  LaunchElements(stream_, "rounding to bf16", rows * input.stride,
                 EncodeRow<Bf16>{x, width, nullptr, nullptr, width, input.stride, halves});
  input.rows = halves;
  if (storage == Storage::kQ4Zeros) AddSums(rows, width, &input);
  return input;
}

ProductInput CudaBackend::WeightedInput(const Tensor& x, std::span<const ExpertEntry> entries,
                                        Storage storage) {
  std::vector<int32_t> rows;
  std::vector<float> weights;
  for (const ExpertEntry& entry : entries) {
    rows.push_back(entry.row);
    weights.push_back(entry.weight);
  }
  const auto count = static_cast<int64_t>(entries.size());
  float* const weighted = Scratch<float>(count, x.width);
  LaunchElements(stream_, "weighted rows", count * x.width,
                 EncodeRow<float>{DevicePointer(x), x.width,
                                  Send(std::span<const int32_t>(rows), "rows of entries"),
                                  Send(std::span<const float>(weights), "weights of entries"),
                                  x.width, x.width, weighted});
  return InputOf(weighted, count, x.width, storage);
}

void CudaBackend::AddSums(int64_t rows, int64_t width, ProductInput* input) {
  input->sum_stride = Parts(width, kQuantisedGroup);
  float* const sums = Scratch<float>(rows, input->sum_stride);
  LaunchElements(
      stream_, "sums of groups", rows * input->sum_stride,
      SumGroups{static_cast<const Bf16*>(input->rows), input->stride, input->sum_stride, sums});
  input->sums = sums;
}

void CudaBackend::MultiplyRows(const CudaMatrix& matrix, const Vector* bias,
                               const ProductInput& input, int64_t rows, const Tensor& output) {
  ProductArguments arguments = ArgumentsOf(input, rows, output, matrix);
  arguments.single = {.weights = matrix.view(), .bias = DevicePointer(bias)};
  const TileRows tile_rows = TileRowsFor(matrix.storage(), rows, 1);
  cuda::Multiply(stream_, "linear", matrix.storage(), false, tile_rows,
                 Parts(rows, static_cast<int64_t>(tile_rows)), arguments);
}

void CudaBackend::Linear(const Tensor& x, std::span<const LinearOutput> outputs) {
  if (x.rows == 0) return;
  const Arena::Scope scope(scratch());
  ProductInput encoded[2];  // for tensor cores, and with sums of groups
  for (const LinearOutput& output : outputs) {
    const auto& matrix = static_cast<const CudaMatrix&>(*output.matrix);
    ProductInput& input = encoded[matrix.storage() == Storage::kQ4Zeros];
    if (IsExact(matrix.storage())) {
      MultiplyRows(matrix, output.bias,
                   InputOf(DevicePointer(x), x.rows, x.width, matrix.storage()), x.rows,
                   output.output);
      continue;
    }
    if (input.rows == nullptr) input = InputOf(DevicePointer(x), x.rows, x.width, matrix.storage());
    MultiplyRows(matrix, output.bias, input, x.rows, output.output);
  }
}

void CudaBackend::ProjectHeads(const Tensor& x, std::span<const MatrixPtr> matrices,
                               const Tensor& output) {
  if (x.rows == 0) return;
  const Arena::Scope scope(scratch());
  const auto& first = static_cast<const CudaMatrix&>(*matrices.front());
  const auto heads = static_cast<int64_t>(matrices.size());
  const int64_t entries = heads * x.rows;
  const int64_t taken = first.cols(), made = first.rows(), width = x.width / heads;
  float* const split = Scratch<float>(entries, taken);
  LaunchElements(stream_, "heads", entries * taken,
                 SplitHeads{DevicePointer(x), x.rows, heads, width, taken, split});
  const TileRows tile_rows = TileRowsFor(first.storage(), entries, heads);
  std::vector<GroupMatrices> groups;
  std::vector<GroupTile> tiles;
  for (const MatrixPtr& matrix : matrices) {
    const auto begin = static_cast<int64_t>(groups.size()) * x.rows;
    groups.push_back({.weights = static_cast<const CudaMatrix&>(*matrix).view()});
    AppendTiles(static_cast<int32_t>(groups.size()) - 1, begin, begin + x.rows, tile_rows, &tiles);
  }
  const Tensor products = scratch().Rows(entries, made);
  ProductArguments arguments =
      ArgumentsOf(InputOf(split, entries, taken, first.storage()), entries, products, first);
  arguments.groups = Send(std::span<const GroupMatrices>(groups), "matrices of heads");
  arguments.tiles = Send(std::span<const GroupTile>(tiles), "tiles of heads");
  cuda::Multiply(stream_, "projection of heads", first.storage(), false, tile_rows,
                 static_cast<int64_t>(tiles.size()), arguments);
  LaunchElements(stream_, "heads", output.elements(),
                 JoinHeads{DevicePointer(products), DevicePointer(x), x.rows, heads, width, made,
                           width - taken, DevicePointer(output)});
}

}  // namespace conclave::cuda
