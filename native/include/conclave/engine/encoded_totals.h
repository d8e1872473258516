#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "conclave/base/partial_type.h"
#include "conclave/engine/compute.h"

namespace conclave {

// EncodedTotals in native.ts.
struct EncodedTotals {
  PartialType type = PartialType::kI32;
  std::vector<uint8_t> partial;
};

// totals [rows, width], in the narrowest type that holds all of them.
EncodedTotals EncodeTotals(Compute& compute, const double* totals, int64_t rows, int64_t width);

// totals += terms, both [rows, width], on each row's grid.
void AddTerms(Compute& compute, const float* terms, std::span<const int32_t> grid, int64_t width,
              double* totals);

// totals [rows, width] = 0.
void ClearTotals(Compute& compute, int64_t rows, int64_t width, double* totals);

}  // namespace conclave
