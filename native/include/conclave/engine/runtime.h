#pragma once

#include <memory>

#include "conclave/base/executor.h"
#include "conclave/engine/compute.h"

namespace conclave {

// The threads of a Runtime in native.ts: an executor that calculates, and loaders beside it. There
// are several, so that one expert that is needed at once does not wait for the load of many.
class Runtime {
 public:
  Runtime(int threads, Isa isa, Bf16Pairs pairs);
  ~Runtime();

  const std::shared_ptr<Compute>& compute() const { return compute_; }
  Executor& executor() { return executor_; }
  Executor& loader() { return loader_; }

  // Takes no more work; what is queued still runs.
  void Close();
  // Drops what is queued and waits for what runs, which ends early.
  void Stop();
  // Frees on a loader's thread, which may take its time.
  void Release(std::shared_ptr<const void> object);

 private:
  std::shared_ptr<Compute> compute_;
  Executor executor_;
  Executor loader_;
};

}  // namespace conclave
