#include "conclave/engine/dispatch.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "conclave/base/message.h"

namespace conclave {
namespace {

Dispatch StartDispatch(const DispatchInput& input, int32_t target) {
  Dispatch dispatch;
  dispatch.target = target;
  dispatch.experts.layer = input.layer;
  dispatch.experts.type = input.type;
  return dispatch;
}

void AddAllRows(const DispatchInput& input, Dispatch& dispatch) {
  for (int64_t row = 0; row < input.rows; ++row)
    dispatch.row_indices.push_back(static_cast<int32_t>(row));
}

// Adds the rows that need experts, unless all rows are in, and the experts: top_k is the most that
// one row needs here.
void AddExperts(std::span<const ExpertEntry> entries, Dispatch& dispatch) {
  if (dispatch.row_indices.empty()) {
    for (const ExpertEntry& entry : entries) {
      if (dispatch.row_indices.empty() || dispatch.row_indices.back() != entry.row)
        dispatch.row_indices.push_back(entry.row);
    }
  }
  ExpertRows& experts = dispatch.experts;
  for (size_t begin = 0, end = 0; begin < entries.size(); begin = end) {
    while (end < entries.size() && entries[end].row == entries[begin].row) ++end;
    experts.top_k = std::max(experts.top_k, static_cast<int64_t>(end - begin));
  }
  experts.topk_ids.assign(dispatch.row_indices.size() * static_cast<size_t>(experts.top_k), -1);
  experts.topk_weights.assign(experts.topk_ids.size(), 0.0f);
  size_t next = 0;
  for (size_t r = 0; r < dispatch.row_indices.size(); ++r) {
    size_t place = r * static_cast<size_t>(experts.top_k);
    for (; next < entries.size() && entries[next].row == dispatch.row_indices[r]; ++next, ++place) {
      experts.topk_ids[place] = entries[next].slot;
      experts.topk_weights[place] = entries[next].weight;
    }
  }
}

void CopyRows(const DispatchInput& input, Dispatch& dispatch) {
  ExpertRows& experts = dispatch.experts;
  const size_t row_bytes = input.input.size() / static_cast<size_t>(input.rows);
  experts.row_count = static_cast<int64_t>(dispatch.row_indices.size());
  experts.rows.resize(dispatch.row_indices.size() * row_bytes);
  for (size_t i = 0; i < dispatch.row_indices.size(); ++i) {
    const auto row = static_cast<size_t>(dispatch.row_indices[i]);
    experts.grid.push_back(input.grid[row]);
    std::memcpy(experts.rows.data() + i * row_bytes, input.input.data() + row * row_bytes,
                row_bytes);
  }
}

template <typename... Parts>
[[noreturn]] void FailPartial(ErrorCode code, size_t index, const Parts&... parts) {
  throw Error(code, Message("partials[", index, "]", parts...), static_cast<int64_t>(index));
}

}  // namespace

RoutedEntries RouteEntries(const ExpertRoute& route, int experts, std::span<const int32_t> ids,
                           std::span<const float> weights, int64_t rows, int64_t top_k) {
  std::vector<int32_t> rows_of(static_cast<size_t>(experts), 0);
  for (const int32_t id : ids) {
    if (id < experts) ++rows_of[id];
  }
  const std::vector<int32_t> targets = ChooseTargets(route, rows_of);
  RoutedEntries routed;
  routed.slices = route.slices;
  std::map<int32_t, std::vector<ExpertEntry>> remote;
  std::vector<std::pair<int32_t, float>> row_experts;
  for (int64_t row = 0; row < rows; ++row) {
    row_experts.clear();
    for (int64_t j = row * top_k; j < (row + 1) * top_k; ++j) {
      if (ids[j] < experts) {
        row_experts.emplace_back(ids[j], weights[j]);
      } else {
        routed.identity.resize(static_cast<size_t>(rows), 0.0f);
        routed.identity[row] += weights[j];
      }
    }
    std::sort(row_experts.begin(), row_experts.end());
    for (const auto& [expert, weight] : row_experts) {
      for (int32_t slice = 0; slice < route.slices; ++slice) {
        const int32_t slot = expert * route.slices + slice;
        auto& entries = targets[slot] == kLocalTarget ? routed.local : remote[targets[slot]];
        entries.push_back({slot, static_cast<int32_t>(row), weight});
      }
    }
  }
  for (auto& [target, entries] : remote) routed.remote.push_back({target, std::move(entries)});
  return routed;
}

std::vector<Dispatch> BuildDispatches(const DispatchInput& input,
                                      std::span<const int32_t> rank_targets, bool dense,
                                      const RoutedEntries& routed) {
  std::map<int32_t, Dispatch> by_target;
  for (const int32_t target : rank_targets) {
    Dispatch& dispatch = by_target.emplace(target, StartDispatch(input, target)).first->second;
    dispatch.dense = dense;
    AddAllRows(input, dispatch);
  }
  for (const RoutedEntries::Remote& remote : routed.remote) {
    Dispatch& dispatch =
        by_target.emplace(remote.target, StartDispatch(input, remote.target)).first->second;
    AddExperts(remote.entries, dispatch);
  }
  std::vector<Dispatch> dispatches;
  for (auto& [target, dispatch] : by_target) {
    CopyRows(input, dispatch);
    dispatches.push_back(std::move(dispatch));
  }
  return dispatches;
}

std::vector<int32_t> CountAnswers(std::span<const Dispatch> dispatches, int64_t rows) {
  std::vector<int32_t> counts(static_cast<size_t>(rows), 0);
  for (const Dispatch& dispatch : dispatches) {
    for (const int32_t row : dispatch.row_indices) ++counts[row];
  }
  return counts;
}

void CheckPartials(std::span<const PartialSum> partials, std::span<const int32_t> expected,
                   int64_t rows, int64_t hidden) {
  std::vector<int32_t> answers(static_cast<size_t>(rows), 0);
  for (size_t p = 0; p < partials.size(); ++p) {
    const PartialSum& partial = partials[p];
    const size_t row_bytes = static_cast<size_t>(hidden) * PartialBytes(partial.type);
    if (partial.partial.size() != partial.row_indices.size() * row_bytes) {
      FailPartial(ErrorCode::kInvalidArgument, p, ".partial: expected ",
                  partial.row_indices.size() * row_bytes, " bytes for [",
                  partial.row_indices.size(), ", ", hidden, "], got ", partial.partial.size());
    }
    int32_t least = 0;
    for (size_t i = 0; i < partial.row_indices.size(); ++i) {
      const int32_t row = partial.row_indices[i];
      if (row < least || row >= rows) {
        FailPartial(ErrorCode::kInvalidArgument, p, ".rowIndices[", i,
                    "]: expected ascending rows from ", least, " to ", rows - 1, ", got ", row);
      }
      least = row + 1;
      ++answers[row];
      if (!AllFinite(partial.type, partial.partial.data() + i * row_bytes, hidden)) {
        FailPartial(ErrorCode::kNonFinite, p, ".partial: row ", i, " (row ", row,
                    " of the batch) is not finite; the step can be resumed with another answer");
      }
    }
  }
  for (int64_t row = 0; row < rows; ++row) {
    if (answers[row] < expected[row]) {
      Fail(ErrorCode::kInvalidArgument, "partials: row ", row, " of the batch was dispatched ",
           expected[row], " times and is answered ", answers[row], " times");
    }
  }
}

}  // namespace conclave
