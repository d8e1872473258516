// Feed-forward networks: of all rows, and of the rows that a gate sends to each expert.

#include <algorithm>

#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/device/exact_sum.h"
#include "kernels/cuda/matmul/activation.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

// hidden = act(gate, up), where the two are stored differently and were multiplied by themselves.
template <typename Element>
struct ActivateRows {
  const float* gate;  // [entries, width]
  const float* up;
  int64_t width;
  int64_t stride;
  ActivationParams activation;
  Element* hidden;  // [entries, stride]; zeros from `width` on
  __device__ void operator()(int64_t i) const {
    const int64_t col = i % stride, at = i / stride * width + col;
    hidden[i] = FromFloat<Element>(col < width ? Activate(activation, gate[at], up[at]) : 0);
  }
};

// Entries of a row, in their order.
struct RowEntries {
  int32_t begin;
  int32_t end;
};

// totals[r, i] += weight * output[e, i] on the row's grid, over the row's entries e.
struct AddEntries {
  const float* output;       // [entries, width]
  const RowEntries* ranges;  // [rows]
  const int32_t* entries;
  const float* weights;  // [entries]; null: 1
  const int32_t* grid;   // [rows]
  int64_t width;
  double* totals;
  __device__ void operator()(int64_t i) const {
    const int64_t row = i / width;
    double sum = totals[i];
    for (int32_t at = ranges[row].begin; at < ranges[row].end; ++at) {
      const int32_t entry = entries[at];
      const float y = output[entry * width + i % width];
      sum += Steps(weights != nullptr ? weights[entry] * y : y, grid[row]);
    }
    totals[i] = sum;
  }
};

Storage StorageOfInput(const CudaFfn& ffn) {
  const bool zeros =
      ffn.gate().storage() == Storage::kQ4Zeros || ffn.up.storage() == Storage::kQ4Zeros;
  return zeros ? Storage::kQ4Zeros : ffn.up.storage();
}

}  // namespace

GroupMatrices HiddenMatrices(const CudaFfn& ffn) {
  return {.weights = ffn.up.view(),
          .gates = ffn.gate().view(),
          .bias = DevicePointer(ffn.up_bias.get()),
          .gate_bias = DevicePointer(ffn.gate_bias.get())};
}

GroupMatrices GateMatrices(const CudaFfn& ffn) {
  return {.weights = ffn.gate().view(), .bias = DevicePointer(ffn.gate_bias.get())};
}

GroupMatrices DownMatrices(const CudaFfn& ffn) {
  return {.weights = ffn.down.view(), .bias = DevicePointer(ffn.down_bias.get())};
}

bool Alike(const CudaFfn& a, const CudaFfn& b) {
  return a.gate().storage() == b.gate().storage() && a.up.storage() == b.up.storage() &&
         a.down.storage() == b.down.storage() && a.up.rows() == b.up.rows();
}

void AppendTiles(int32_t group, int64_t begin, int64_t end, TileRows rows,
                 std::vector<GroupTile>* tiles) {
  const auto step = static_cast<int64_t>(rows);
  for (int64_t at = begin; at < end; at += step) {
    tiles->push_back(
        {group, static_cast<int32_t>(at), static_cast<int32_t>(std::min(end, at + step))});
  }
}

ProductInput CudaBackend::HiddenOf(const NetworkBatch& batch, const ProductInput& input) {
  const CudaFfn& ffn = *batch.first;
  const bool exact = IsExact(ffn.up.storage());
  const int64_t width = ffn.up.rows();
  ProductInput hidden{.stride = exact ? width : RoundUp(width, 8)};
  ProductArguments p{.tiles = batch.tiles,
                     .entries = batch.entries,
                     .groups = batch.hidden,
                     .single = HiddenMatrices(ffn),
                     .entry_rows = input.entry_rows,
                     .input = input.rows,
                     .input_stride = input.stride,
                     .input_sums = input.sums,
                     .sum_stride = input.sum_stride,
                     .output = Scratch<uint8_t>(batch.entries, hidden.stride * (exact ? 4 : 2)),
                     .output_stride = hidden.stride,
                     .depth = ffn.up.view().cols,
                     .cols = ffn.up.view().rows,
                     .activation = ffn.activation};
  hidden.rows = p.output;
  if (ffn.gate().storage() == ffn.up.storage()) {
    cuda::Multiply(stream_, "gate and up", ffn.up.storage(), true, batch.tile_rows,
                   batch.tile_count, p);
  } else {
    float* const parts[2] = {Scratch<float>(batch.entries, width),
                             Scratch<float>(batch.entries, width)};
    p.output = parts[1];
    p.output_stride = width;
    cuda::Multiply(stream_, "up", ffn.up.storage(), false, batch.tile_rows, batch.tile_count, p);
    p.output = parts[0];
    p.groups = batch.gate;
    p.single = GateMatrices(ffn);
    cuda::Multiply(stream_, "gate", ffn.gate().storage(), false, batch.tile_rows, batch.tile_count,
                   p);
    const auto activate = [&](auto* rows) {
      LaunchElements(stream_, "activation", batch.entries * hidden.stride,
                     ActivateRows{parts[0], parts[1], width, hidden.stride, ffn.activation, rows});
    };
    void* const rows = const_cast<void*>(hidden.rows);
    if (exact) {
      activate(static_cast<float*>(rows));
    } else {
      activate(static_cast<Bf16*>(rows));
    }
  }
  if (ffn.down.storage() == Storage::kQ4Zeros) AddSums(batch.entries, width, &hidden);
  return hidden;
}

void CudaBackend::RunNetworks(const NetworkBatch& batch, const ProductInput& input, float* output) {
  const CudaFfn& ffn = *batch.first;
  const ProductInput hidden = HiddenOf(batch, input);
  ProductArguments p{.tiles = batch.tiles,
                     .entries = batch.entries,
                     .groups = batch.down,
                     .single = DownMatrices(ffn),
                     .entry_rows = nullptr,
                     .input = hidden.rows,
                     .input_stride = hidden.stride,
                     .input_sums = hidden.sums,
                     .sum_stride = hidden.sum_stride,
                     .output = output,
                     .output_stride = ffn.down.view().rows,
                     .depth = ffn.down.view().cols,
                     .cols = ffn.down.view().rows,
                     .activation = {}};
  cuda::Multiply(stream_, "down", ffn.down.storage(), false, batch.tile_rows, batch.tile_count, p);
}

void CudaBackend::Forward(const Ffn& ffn, const Tensor& x, const Tensor& output) {
  if (x.rows == 0) return;
  const Arena::Scope scope(scratch());
  const auto& network = static_cast<const CudaFfn&>(ffn);
  const TileRows tile_rows = TileRowsFor(network.up.storage(), x.rows, 1);
  const NetworkBatch batch{.first = &network,
                           .entries = x.rows,
                           .tile_rows = tile_rows,
                           .tile_count = Parts(x.rows, static_cast<int64_t>(tile_rows))};
  RunNetworks(batch, InputOf(DevicePointer(x), x.rows, x.width, StorageOfInput(network)),
              DevicePointer(output));
}

// Groups that are stored alike are launched together; all write to one list of outputs, which each
// row's entries are then added from.
void CudaBackend::Experts(std::span<const ExpertGroup> groups, std::span<const ExpertEntry> entries,
                          ExpertWeights applied, const Tensor& x, const Grid& grid,
                          const Totals& totals) {
  if (entries.empty()) return;
  const Arena::Scope scope(scratch());
  const auto count = static_cast<int64_t>(entries.size());
  float* const outputs = Scratch<float>(count, totals.width);
  std::vector<int32_t> entry_rows;
  std::vector<float> weights;
  for (const ExpertEntry& entry : entries) {
    entry_rows.push_back(entry.row);
    weights.push_back(entry.weight);
  }
  const int32_t* const rows = Send(std::span<const int32_t>(entry_rows), "rows of entries");

  std::vector<ExpertGroup> left(groups.begin(), groups.end());
  std::erase_if(left, [](const ExpertGroup& group) { return group.begin == group.end; });
  while (!left.empty()) {
    const Arena::Scope batch_scope(scratch());
    const auto network = [](const ExpertGroup& group) -> const CudaFfn& {
      return static_cast<const CudaFfn&>(*group.ffn);
    };
    const CudaFfn& first = network(left.front());
    const auto others = std::stable_partition(
        left.begin(), left.end(), [&](const auto& group) { return Alike(first, network(group)); });
    std::vector<GroupMatrices> hidden, gate, down;
    std::vector<GroupTile> tiles;
    int64_t routed = 0;
    for (auto group = left.begin(); group != others; ++group) routed += group->end - group->begin;
    const TileRows tile_rows = TileRowsFor(first.up.storage(), routed, others - left.begin());
    for (auto group = left.begin(); group != others; ++group) {
      AppendTiles(static_cast<int32_t>(hidden.size()), group->begin, group->end, tile_rows, &tiles);
      hidden.push_back(HiddenMatrices(network(*group)));
      gate.push_back(GateMatrices(network(*group)));
      down.push_back(DownMatrices(network(*group)));
    }
    const NetworkBatch batch{
        .first = &first,
        .entries = count,
        .tile_rows = tile_rows,
        .tile_count = static_cast<int64_t>(tiles.size()),
        .tiles = Send(std::span<const GroupTile>(tiles), "tiles of entries"),
        .hidden = Send(std::span<const GroupMatrices>(hidden), "matrices of experts"),
        .gate = Send(std::span<const GroupMatrices>(gate), "matrices of experts"),
        .down = Send(std::span<const GroupMatrices>(down), "matrices of experts")};
    ProductInput input;
    if (applied == ExpertWeights::kOnInput) {
      input = WeightedInput(x, entries, StorageOfInput(first));
    } else {
      input = InputOf(DevicePointer(x), x.rows, x.width, StorageOfInput(first));
      input.entry_rows = rows;
    }
    RunNetworks(batch, input, outputs);
    left.erase(left.begin(), others);
  }

  std::vector<RowEntries> ranges(static_cast<size_t>(totals.rows), {0, 0});
  std::vector<int32_t> order(entries.size());
  for (const int32_t row : entry_rows) ++ranges[static_cast<size_t>(row)].end;
  int32_t begin = 0;
  for (RowEntries& range : ranges) {
    const int32_t length = range.end;
    range = {begin, begin};
    begin += length;
  }
  for (size_t e = 0; e < entries.size(); ++e)
    order[static_cast<size_t>(ranges[static_cast<size_t>(entry_rows[e])].end++)] =
        static_cast<int32_t>(e);
  LaunchElements(stream_, "sum of experts", totals.elements(),
                 AddEntries{outputs, Send(std::span<const RowEntries>(ranges), "entries of rows"),
                            Send(std::span<const int32_t>(order), "entries of rows"),
                            applied == ExpertWeights::kOnInput
                                ? nullptr
                                : Send(std::span<const float>(weights), "weights of entries"),
                            DevicePointer(grid), totals.width, DevicePointer(totals)});
}

}  // namespace conclave::cuda
