#pragma once

// How products of activations with panels of weights are cut into tasks for the threads.

#include <cstdint>
#include <span>
#include <vector>

namespace conclave {

// One product, as far as cutting it goes.
struct ProductExtent {
  int64_t panels;
  int64_t panel_multiple;  // tasks begin at multiples of this many panels
  int64_t rows;            // of activations
  int64_t panel_bytes;
  int64_t panel_macs;  // multiply-adds of one row with one panel
};

// Panels [panel_begin, panel_end) by rows [row_begin, row_end) of one product.
struct MatmulTask {
  int64_t product;
  int64_t panel_begin;
  int64_t panel_end;
  int64_t row_begin;
  int64_t row_end;
};

// Cuts along panels, so that one thread reads a panel for all rows; along rows only where there are
// too few panels to keep the threads busy. Tasks are long at first, so that weights are read in
// long runs, and short at the end, so that the threads end together. Products without rows get no
// task.
void CutIntoTasks(std::span<const ProductExtent> products, int threads,
                  std::vector<MatmulTask>& tasks);

}  // namespace conclave
