#include "cuda/device-check/timings.h"

#include <algorithm>
#include <cstring>

#include "conclave/base/message.h"

namespace conclave::device_check {
namespace {

constexpr std::chrono::milliseconds kLeast{100};
constexpr int kMostCalls = 200;
constexpr int kRuns = 3;

double Seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

// Of a call, where as many follow each other as take a while.
double TimeCalls(Backend& backend, const Operation& operation, int64_t rows, int calls) {
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < calls; ++i) operation.run(rows);
  backend.Synchronise();
  return Seconds(Clock::now() - begin) / calls;
}

// The median of some runs.
double TimeOperation(Backend& backend, const Operation& operation, int64_t rows) {
  const double once = TimeCalls(backend, operation, rows, 1);
  const double wanted = Seconds(kLeast) / std::max(once, 1e-7);
  const int calls = std::clamp(static_cast<int>(wanted), 1, kMostCalls);
  std::vector<double> runs;
  for (int i = 0; i < kRuns; ++i) runs.push_back(TimeCalls(backend, operation, rows, calls));
  std::sort(runs.begin(), runs.end());
  return runs[runs.size() / 2];
}

std::vector<float> FirstRow(Backend& backend, const Tensor& output) {
  std::vector<float> row(static_cast<size_t>(output.width));
  backend.Download(output.Slice(0, 1), row);
  backend.Synchronise();
  return row;
}

}  // namespace

Timings TimeOperations(Backend& backend, const Workload& workload, const std::vector<int64_t>& rows,
                       Clock::time_point deadline) {
  Timings result;
  for (const Operation& operation : workload.operations()) {
    std::vector<float> first;
    for (const int64_t count : rows) {
      if (count > operation.most_rows) continue;
      if (Clock::now() >= deadline) {
        result.complete = false;
        return result;
      }
      const double seconds = TimeOperation(backend, operation, count);
      result.timings.push_back(
          {operation.name, count, operation.bytes(count), operation.flops(count), seconds});
      if (operation.output.rows == 0) continue;
      const std::vector<float> row = FirstRow(backend, operation.output);
      const bool same =
          first.empty() || std::memcmp(first.data(), row.data(), row.size() * sizeof(float)) == 0;
      if (!same && !result.problem) {
        result.problem = Message(operation.name, ": row 0 among ", count,
                                 " has other bits than among ", rows.front());
      }
      if (first.empty()) first = row;
    }
  }
  return result;
}

}  // namespace conclave::device_check
