#include "conclave/base/message.h"
#include "kernels/cuda/backend.h"

namespace conclave::cuda {

std::unique_ptr<Backend> CreateBackend(int device, int /*threads*/) {
  Fail(ErrorCode::kUnsupported, "device ", device, ": this build has no operations for GPUs yet");
}

}  // namespace conclave::cuda
