// Rows between host and device, and rows that are looked up.

#include "conclave/base/message.h"
#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

struct WidenBf16 {
  const Bf16* input;
  float* output;
  __device__ void operator()(int64_t i) const { output[i] = ToFloat(input[i]); }
};

struct NarrowToBf16 {
  const float* input;
  Bf16* output;
  __device__ void operator()(int64_t i) const { output[i] = ToBf16(input[i]); }
};

// output[r, i] = multiplier * table[rows[r], i].
template <typename Element>
struct LookUp {
  const Element* table;
  const int32_t* rows;
  int64_t width;
  float multiplier;
  float* output;
  __device__ void operator()(int64_t i) const {
    output[i] = multiplier * ToFloat(table[rows[i / width] * width + i % width]);
  }
};

void CheckBytes(const char* name, size_t got, int64_t elements, size_t size) {
  const size_t expected = static_cast<size_t>(elements) * size;
  if (got != expected)
    Fail(ErrorCode::kInternal, name, ": expected ", expected, " bytes, got ", got);
}

}  // namespace

void CudaBackend::Embed(const Embedding& table, std::span<const int32_t> tokens, float multiplier,
                        const Tensor& output) {
  const Arena::Scope scope(scratch());
  const int32_t* const rows = Send(tokens, "tokens");
  const auto& embedding = static_cast<const CudaEmbedding&>(table);
  const auto look_up = [&](const auto* elements) {
    LaunchElements(stream_, "embedding", output.elements(),
                   LookUp{elements, rows, output.width, multiplier, DevicePointer(output)});
  };
  switch (embedding.type()) {
    case SourceType::kF32:
      return look_up(static_cast<const float*>(embedding.data()));
    case SourceType::kF16:
      return look_up(static_cast<const F16*>(embedding.data()));
    case SourceType::kBF16:
      return look_up(static_cast<const Bf16*>(embedding.data()));
    default:
      Fail(ErrorCode::kUnsupported, "embedding: expected f32, f16 or bf16, got codes");
  }
}

void CudaBackend::Gather(const Tensor& x, std::span<const int32_t> rows, const Tensor& output) {
  const Arena::Scope scope(scratch());
  LaunchElements(stream_, "gather", output.elements(),
                 LookUp{static_cast<const float*>(DevicePointer(x)), Send(rows, "rows"), x.width,
                        1.0f, DevicePointer(output)});
}

void CudaBackend::Upload(ActivationType type, std::span<const uint8_t> bytes,
                         const Tensor& output) {
  CheckBytes("upload", bytes.size(), output.elements(), ActivationBytes(type));
  if (type == ActivationType::kF32)
    return SendTo(DevicePointer(output), bytes.data(), bytes.size(), "upload");
  const Arena::Scope scope(scratch());
  const auto* const halves =
      static_cast<const Bf16*>(SendBytes(bytes.data(), bytes.size(), "upload"));
  LaunchElements(stream_, "upload", output.elements(), WidenBf16{halves, DevicePointer(output)});
}

void CudaBackend::Upload(std::span<const int32_t> values, const DeviceIds& output) {
  CheckBytes("upload", values.size_bytes(), output.elements(), 4);
  SendTo(DevicePointer(output), values.data(), values.size_bytes(), "upload");
}

void CudaBackend::Download(const Tensor& x, ActivationType type, std::span<uint8_t> bytes) {
  CheckBytes("download", bytes.size(), x.elements(), ActivationBytes(type));
  if (type == ActivationType::kF32)
    return Receive(DevicePointer(x), bytes.data(), bytes.size(), "download");
  const Arena::Scope scope(scratch());
  Bf16* const halves = Scratch<Bf16>(x.rows, x.width);
  LaunchElements(stream_, "download", x.elements(), NarrowToBf16{DevicePointer(x), halves});
  Receive(halves, bytes.data(), bytes.size(), "download");
}

void CudaBackend::Download(const DeviceIds& x, std::span<int32_t> values) {
  CheckBytes("download", values.size_bytes(), x.elements(), 4);
  Receive(DevicePointer(x), values.data(), values.size_bytes(), "download");
}

}  // namespace conclave::cuda
