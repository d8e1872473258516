// Rotates pairs of a head's elements by the position of its row.

#include "conclave/base/message.h"
#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

constexpr int kMostPairs = 256;

// Angles per position are in the arguments, so that nothing is uploaded for them.
struct RotatePairs {
  float* x;                  // [rows, heads * head_dim]
  const int32_t* positions;  // [rows]
  int64_t heads;
  int head_dim;
  int first;
  int pairs;
  bool interleaved;
  int offset;
  float factor;
  float frequencies[kMostPairs];

  __device__ void operator()(int64_t i) const {
    const auto pair = static_cast<int>(i % pairs);
    const int64_t head = i / pairs;
    float* const elements = x + head * head_dim + first;
    const float angle = static_cast<float>(positions[head / heads] + offset) * frequencies[pair];
    const float c = cosf(angle) * factor;
    const float s = sinf(angle) * factor;
    float& a = elements[interleaved ? 2 * pair : pair];
    float& b = elements[interleaved ? 2 * pair + 1 : pair + pairs];
    const float old = a;
    a = old * c - b * s;
    b = b * c + old * s;
  }
};

}  // namespace

void CudaBackend::Rotate(const Rope& rope, const StepRows& where, int head_dim, int first,
                         std::span<const Tensor> tensors) {
  const size_t pairs = rope.inverse_frequencies.size();
  if (pairs == 0) return;
  if (pairs > kMostPairs) {
    Fail(ErrorCode::kUnsupported, "rope: expected at most ", 2 * kMostPairs,
         " rotated elements of a head, got ", 2 * pairs);
  }
  RotatePairs rotate{.x = nullptr,
                     .positions = OnDevice(where).positions(),
                     .heads = 0,
                     .head_dim = head_dim,
                     .first = first,
                     .pairs = static_cast<int>(pairs),
                     .interleaved = rope.interleaved,
                     .offset = rope.offset,
                     .factor = rope.attention_factor,
                     .frequencies = {}};
  std::copy(rope.inverse_frequencies.begin(), rope.inverse_frequencies.end(), rotate.frequencies);
  for (const Tensor& x : tensors) {
    rotate.x = DevicePointer(x);
    rotate.heads = x.width / head_dim;
    LaunchElements(stream_, "rope", x.rows * rotate.heads * static_cast<int64_t>(pairs), rotate);
  }
}

}  // namespace conclave::cuda
