#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "conclave/base/buffer.h"
#include "conclave/engine/compute.h"

namespace conclave {

// One expert slice that a row needs.
struct ExpertEntry {
  int32_t slot;
  int32_t row;
  float weight;
};

// totals[r] = sum over the entries of row r of weight * expert(input[r]), on the row's grid (see
// exact_sum.h). The experts run as one grouped matmul over rows sorted by slot.
class ExpertSum {
 public:
  // Sorts entries whose slots lie in [0, slots). used() then lists the slots that occur, ascending.
  void Sort(std::span<const ExpertEntry> entries, int64_t slots);
  std::span<const int32_t> used() const { return used_; }

  // weights[i] belongs to used()[i]. input and totals are [rows, hidden], grid is [rows].
  void Run(Compute& compute, std::span<const FfnWeights* const> weights, const float* input,
           std::span<const int32_t> grid, int64_t hidden, double* totals);

 private:
  std::vector<ExpertEntry> sorted_;
  std::vector<int64_t> ends_;  // [slots + 1]; where each slot's entries end in sorted_
  std::vector<int32_t> used_;
  std::vector<int64_t> row_begins_;   // [rows + 1]; first of a row's entries in row_entries_
  std::vector<int64_t> row_entries_;  // index into sorted_
  Buffer<float> gathered_;            // [entries, hidden]
  Buffer<float> outputs_;             // [entries, hidden]
};

}  // namespace conclave
