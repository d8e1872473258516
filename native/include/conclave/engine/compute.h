#pragma once

#include <memory>

#include "conclave/base/thread_pool.h"
#include "kernels/cpu/matmul/matmul.h"

namespace conclave {

// What calculates: used by one thread at a time, the runtime's executor (MatmulKernels::Pack
// excepted).
struct Compute {
  Compute(int threads, Isa instruction_set)
      : pool(threads), kernels(CreateMatmulKernels(instruction_set)), isa(instruction_set) {}

  ThreadPool pool;
  std::unique_ptr<MatmulKernels> kernels;
  Isa isa;
};

}  // namespace conclave
