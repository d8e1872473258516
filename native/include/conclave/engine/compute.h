#pragma once

#include <memory>

#include "conclave/base/thread_pool.h"
#include "kernels/cpu/matmul/matmul.h"

namespace conclave {

// What calculates: used by one thread at a time, the runtime's executor (MatmulKernels::Pack
// excepted).
struct Compute {
  Compute(int threads, Isa instruction_set, Bf16Pairs pairs = Bf16Pairs::kWhereFast)
      : pool(threads), kernels(CreateMatmulKernels(instruction_set, pairs)), isa(instruction_set) {}

  ThreadPool pool;
  std::unique_ptr<MatmulKernels> kernels;
  Isa isa;
};

}  // namespace conclave
