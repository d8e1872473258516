#include "kernels/cpu/exact_sum/loops.h"

namespace conclave {

const ExactSumKernel kExactSumPortable = kLoops;

}  // namespace conclave
