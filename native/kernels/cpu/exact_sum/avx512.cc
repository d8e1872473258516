#include "kernels/cpu/exact_sum/loops.h"

namespace conclave {

const ExactSumKernel kExactSumAvx512 = kLoops;

}  // namespace conclave
