#pragma once

#include <memory>

#include "conclave/backend/backend.h"
#include "conclave/base/executor.h"

namespace conclave {

// The threads of a Runtime in native.ts: an executor that calculates, and loaders beside it. There
// are several, so that one expert that is needed at once does not wait for the load of many.
class Runtime {
 public:
  explicit Runtime(std::shared_ptr<Backend> backend);
  ~Runtime();

  const std::shared_ptr<Backend>& backend() const { return backend_; }
  Executor& executor() { return executor_; }
  Executor& loader() { return loader_; }

  // Takes no more work; what is queued still runs.
  void Close();
  // Drops what is queued and waits for what runs, which ends early.
  void Stop();
  // Frees on a loader's thread, which may take its time.
  void Release(std::shared_ptr<const void> object);

 private:
  std::shared_ptr<Backend> backend_;
  Executor executor_;
  Executor loader_;
};

}  // namespace conclave
