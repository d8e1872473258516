#pragma once

#include <algorithm>
#include <cstdint>

#include "conclave/base/thread_pool.h"

namespace conclave {

// Calls body(first, end) for pieces of [0, rows), on the pool when there are enough elements to be
// worth waking it.
template <typename Body>
void ParallelRows(ThreadPool& pool, int64_t rows, int64_t elements_per_row, const Body& body) {
  constexpr int64_t kElementsPerTask = 32768;
  const int64_t rows_per_task =
      std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, elements_per_row));
  const int64_t tasks = (rows + rows_per_task - 1) / rows_per_task;
  if (tasks <= 1) {
    if (rows > 0) body(int64_t{0}, rows);
    return;
  }
  pool.ParallelFor(tasks, [&](int64_t task, int) {
    const int64_t first = task * rows_per_task;
    body(first, std::min(rows, first + rows_per_task));
  });
}

}  // namespace conclave
