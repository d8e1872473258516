#pragma once

#include <cstdint>
#include <functional>

namespace conclave {

// Calls body(task) once for every task in [0, count), on at most `threads` threads that it starts
// and ends, the caller's included. After an error no task starts any more; the first is rethrown
// when the others have ended. For work that takes long: loading.
void ParallelTasks(int threads, int64_t count, const std::function<void(int64_t task)>& body);

}  // namespace conclave
