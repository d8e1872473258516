#include "kernels/cpu/exact_sum/loops.h"

namespace conclave {

const ExactSumKernel kExactSumAvx2 = kLoops;

}  // namespace conclave
