#include "conclave/engine/expert_rows.h"

#include "conclave/base/exact_sum.h"
#include "conclave/base/message.h"

namespace conclave {

DeviceInput UploadRows(Backend& backend, const ExpertRows& rows, int64_t hidden) {
  if (rows.row_count < 1)
    Fail(ErrorCode::kInvalidArgument, "rowCount: expected at least 1, got ", rows.row_count);
  const int64_t elements = rows.row_count * hidden;
  const auto bytes = static_cast<uint64_t>(elements) * ActivationBytes(rows.type);
  if (rows.rows.size() != bytes) {
    Fail(ErrorCode::kInvalidArgument, "rows: expected ", bytes, " bytes for [", rows.row_count,
         ", ", hidden, "], got ", rows.rows.size());
  }
  if (rows.grid.size() != static_cast<uint64_t>(rows.row_count)) {
    Fail(ErrorCode::kInvalidArgument, "grid: expected ", rows.row_count,
         " entries, one per row, got ", rows.grid.size());
  }
  for (size_t i = 0; i < rows.grid.size(); ++i) {
    if (rows.grid[i] < kMinGrid || rows.grid[i] > kMaxGrid) {
      Fail(ErrorCode::kInvalidArgument, "grid[", i, "]: expected ", kMinGrid, " to ", kMaxGrid,
           ", got ", rows.grid[i]);
    }
  }
  const DeviceInput input{backend.scratch().Rows(rows.row_count, hidden),
                          backend.scratch().Take<int32_t>(rows.row_count, 1)};
  backend.Upload(rows.type, rows.rows, input.rows);
  backend.Upload(rows.grid, input.grid);
  return input;
}

}  // namespace conclave
