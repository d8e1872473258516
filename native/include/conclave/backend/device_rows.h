#pragma once

#include <cstdint>

namespace conclave {

// Rows of elements in a backend's memory, row-major and dense: [rows, width]. What the address
// means is the backend's matter; whoever else holds one passes it on, or takes a part of it.
template <typename Element>
struct DeviceRows {
  uint64_t address = 0;
  int64_t rows = 0;
  int64_t width = 0;

  int64_t elements() const { return rows * width; }
  // Rows [begin, end).
  DeviceRows Slice(int64_t begin, int64_t end) const {
    return {address + static_cast<uint64_t>(begin * width) * sizeof(Element), end - begin, width};
  }
  // The same elements in rows of another width, which divides elements().
  DeviceRows Reshape(int64_t other_width) const {
    return {address, elements() / other_width, other_width};
  }
};

// Activations.
using Tensor = DeviceRows<float>;
// Experts by number.
using DeviceIds = DeviceRows<int32_t>;
// Sums in steps of a grid, and the grid's exponent of each row, [rows, 1]; see exact_sum.h.
using Totals = DeviceRows<double>;
using Grid = DeviceRows<int32_t>;

}  // namespace conclave
