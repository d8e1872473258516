// The networks of the rows that a gate sends to each expert, and the sum of what they give.

#include <algorithm>

#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/device/exact_sum.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

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

const CudaFfn& NetworkOf(const ExpertGroup& group) {
  return static_cast<const CudaFfn&>(*group.ffn);
}

// What kernels read of groups of entries.
struct GroupLists {
  std::vector<GroupTile> tiles;
  std::vector<GroupMatrices> hidden, gate, down;
};

GroupLists ListsOf(std::span<const ExpertGroup> groups, TileRows tile_rows) {
  GroupLists lists;
  for (const ExpertGroup& group : groups) {
    AppendTiles(static_cast<int32_t>(lists.hidden.size()), group.begin, group.end, tile_rows,
                &lists.tiles);
    lists.hidden.push_back(HiddenMatrices(NetworkOf(group)));
    lists.gate.push_back(GateMatrices(NetworkOf(group)));
    lists.down.push_back(DownMatrices(NetworkOf(group)));
  }
  return lists;
}

template <typename Element>
std::span<const Element> View(const std::vector<Element>& values) {
  return values;
}

}  // namespace

// Groups that are stored alike are launched together; all write to one list of outputs, which each
// row's entries are then added from.
void CudaBackend::Experts(std::span<const ExpertGroup> groups, std::span<const ExpertEntry> entries,
                          ExpertWeights applied, const Tensor& x, const Grid& grid,
                          const Totals& totals) {
  if (entries.empty()) return;
  const Arena::Scope scope(scratch());
  float* const outputs = Scratch<float>(static_cast<int64_t>(entries.size()), totals.width);
  std::vector<ExpertGroup> left(groups.begin(), groups.end());
  std::erase_if(left, [](const ExpertGroup& group) { return group.begin == group.end; });
  while (!left.empty()) {
    const CudaFfn& first = NetworkOf(left.front());
    const auto others = std::stable_partition(left.begin(), left.end(), [&](const auto& group) {
      return Alike(first, NetworkOf(group));
    });
    RunExperts({left.begin(), others}, entries, applied, x, outputs);
    left.erase(left.begin(), others);
  }
  AddExperts(entries, applied, outputs, grid, totals);
}

void CudaBackend::RunExperts(std::span<const ExpertGroup> alike,
                             std::span<const ExpertEntry> entries, ExpertWeights applied,
                             const Tensor& x, float* outputs) {
  const Arena::Scope scope(scratch());
  const CudaFfn& first = NetworkOf(alike.front());
  int64_t routed = 0;
  for (const ExpertGroup& group : alike) routed += group.end - group.begin;
  const TileRows tile_rows =
      TileRowsFor(first.up.storage(), routed, static_cast<int64_t>(alike.size()));
  const GroupLists lists = ListsOf(alike, tile_rows);
  const NetworkBatch batch{.first = &first,
                           .entries = static_cast<int64_t>(entries.size()),
                           .tile_rows = tile_rows,
                           .tile_count = static_cast<int64_t>(lists.tiles.size()),
                           .tiles = Send(View(lists.tiles), "tiles of entries"),
                           .hidden = Send(View(lists.hidden), "matrices of experts"),
                           .gate = Send(View(lists.gate), "matrices of experts"),
                           .down = Send(View(lists.down), "matrices of experts")};
  const Storage storage = StorageOfInput(first);
  if (applied == ExpertWeights::kOnInput)
    return RunNetworks(batch, WeightedInput(x, entries, storage), outputs);
  ProductInput input = InputOf(DevicePointer(x), x.rows, x.width, storage);
  std::vector<int32_t> rows;
  for (const ExpertEntry& entry : entries) rows.push_back(entry.row);
  input.entry_rows = Send(View(rows), "rows of entries");
  RunNetworks(batch, input, outputs);
}

void CudaBackend::AddExperts(std::span<const ExpertEntry> entries, ExpertWeights applied,
                             const float* outputs, const Grid& grid, const Totals& totals) {
  std::vector<RowEntries> ranges(static_cast<size_t>(totals.rows), {0, 0});
  std::vector<int32_t> order(entries.size());
  std::vector<float> weights;
  for (const ExpertEntry& entry : entries) {
    ++ranges[static_cast<size_t>(entry.row)].end;
    weights.push_back(entry.weight);
  }
  int32_t begin = 0;
  for (RowEntries& range : ranges) {
    const int32_t length = range.end;
    range = {begin, begin};
    begin += length;
  }
  for (size_t e = 0; e < entries.size(); ++e) {
    int32_t& end = ranges[static_cast<size_t>(entries[e].row)].end;
    order[static_cast<size_t>(end++)] = static_cast<int32_t>(e);
  }
  const bool weighted = applied == ExpertWeights::kOnOutput;
  LaunchElements(stream_, "sum of experts", totals.elements(),
                 AddEntries{outputs, Send(View(ranges), "entries of rows"),
                            Send(View(order), "entries of rows"),
                            weighted ? Send(View(weights), "weights of entries") : nullptr,
                            DevicePointer(grid), totals.width, DevicePointer(totals)});
}

}  // namespace conclave::cuda
