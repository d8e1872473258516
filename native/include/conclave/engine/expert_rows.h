#pragma once

#include <cstdint>
#include <vector>

#include "conclave/backend/backend.h"

namespace conclave {

// ExpertRows in native.ts.
struct ExpertRows {
  int layer = 0;
  int64_t row_count = 0;
  ActivationType type = ActivationType::kF32;
  std::vector<uint8_t> rows;
  std::vector<int32_t> grid;  // [row_count]; see exact_sum.h
  int64_t top_k = 0;
  std::vector<int32_t> topk_ids;
  std::vector<float> topk_weights;
};

// Rows of an operator on a device, with their grid.
struct DeviceInput {
  Tensor rows;  // [row_count, hidden]
  Grid grid;    // [row_count, 1]
};

// Takes memory of the backend's scratch. Throws kInvalidArgument when the number of rows, their
// bytes or their grid are wrong.
DeviceInput UploadRows(Backend& backend, const ExpertRows& rows, int64_t hidden);

}  // namespace conclave
