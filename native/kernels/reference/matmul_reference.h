#pragma once

// Plain counterparts of the kernels, for tests: simple loops, sums in double.

#include <cstdint>
#include <vector>

#include "conclave/base/element_types.h"
#include "kernels/cpu/matmul/matmul.h"

namespace conclave {

// A source matrix with every element as it is before any packing, row-major and dense.
std::vector<double> ReferenceWeights(const SourceMatrix& source);

// y = x W^T: w [rows, cols], x [m, cols] -> [m, rows].
std::vector<double> ReferenceMatmul(const std::vector<double>& w, int64_t rows, int64_t cols,
                                    const std::vector<double>& x);

// silu(gate) * up, element by element.
std::vector<double> ReferenceSwiGlu(const std::vector<double>& gate, const std::vector<double>& up);

}  // namespace conclave
