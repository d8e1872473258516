#include "conformance/harness.h"

#include "kernels/cpu/backend.h"
#include "kernels/cpu/machine/cpu_features.h"
#include "kernels/cpu/matmul/factory.h"
#include "kernels/cuda/backend.h"

namespace conclave {
namespace {

template <Isa kIsa>
std::unique_ptr<Backend> Cpu(int threads) {
  return std::make_unique<CpuBackend>(threads, kIsa);
}

std::unique_ptr<Backend> BareAvx512(int threads) {
  CpuFeatures bare = DetectCpuFeatures();
  bare.avx512_vnni = bare.fast_bf16_dot = false;
  return std::make_unique<CpuBackend>(threads, TilesFor(Isa::kAvx512, bare, Bf16Pairs::kWhereFast));
}

std::unique_ptr<Backend> ExtendedAvx512(int threads) {
  CpuFeatures extended = DetectCpuFeatures();
  extended.fast_bf16_dot = extended.avx512_bf16;
  return std::make_unique<CpuBackend>(threads,
                                      TilesFor(Isa::kAvx512, extended, Bf16Pairs::kWhereFast));
}

std::unique_ptr<Backend> Cuda(int threads) { return cuda::CreateBackend(0, threads); }

}  // namespace

std::vector<BackendCase> BackendCases() {
  std::vector<BackendCase> cases = {{"Reference",
                                     [](int threads) -> std::unique_ptr<Backend> {
                                       return std::make_unique<ReferenceBackend>(threads);
                                     }},
                                    {"Portable", Cpu<Isa::kPortable>},
                                    {"PortableBf16", [](int threads) -> std::unique_ptr<Backend> {
                                       return std::make_unique<CpuBackend>(threads, Isa::kPortable,
                                                                           Bf16Pairs::kAlways);
                                     }}};
  const CpuFeatures features = DetectCpuFeatures();
  if (features.avx2) cases.push_back({"Avx2", Cpu<Isa::kAvx2>});
  if (features.avx512) {
    cases.push_back({"Avx512Bare", BareAvx512});
    if (features.avx512_bf16 || features.avx512_vnni)
      cases.push_back({"Avx512Extended", ExtendedAvx512});
  }
#ifdef CONCLAVE_DEVICE_CHECK_CASES
  cases.push_back({CONCLAVE_DEVICE_CHECK_CASES, Cuda, CONCLAVE_DEVICE_CHECK_SMALL});
#elif !defined(__SANITIZE_ADDRESS__)
  // Fibers take too long under sanitizers; emulation_test runs each kernel there.
  cases.push_back({"CudaEmulated", Cuda, true});
#endif
  return cases;
}

std::vector<float> Normal(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(count));
  for (float& v : x) v = normal(random);
  return x;
}

Tensor Device::Upload(const std::vector<float>& values, int64_t width) {
  const Tensor tensor = arena_.Rows(static_cast<int64_t>(values.size()) / width, width);
  backend_->Upload(ActivationType::kF32,
                   {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)},
                   tensor);
  return tensor;
}

Tensor Device::Empty(int64_t rows, int64_t width) {
  return Upload(std::vector<float>(static_cast<size_t>(rows * width), kUntouched), width);
}

DeviceIds Device::UploadIds(const std::vector<int32_t>& values, int64_t width) {
  const auto ids = arena_.Take<int32_t>(static_cast<int64_t>(values.size()) / width, width);
  backend_->Upload(values, ids);
  return ids;
}

Totals Device::Zeros(int64_t rows, int64_t width) {
  const auto totals = arena_.Take<double>(rows, width);
  backend_->Clear(totals);
  return totals;
}

std::vector<float> Device::Download(const Tensor& x) {
  std::vector<float> values(static_cast<size_t>(x.elements()));
  backend_->Download(x, ActivationType::kF32,
                     {reinterpret_cast<uint8_t*>(values.data()), values.size() * sizeof(float)});
  backend_->Synchronise();
  return values;
}

std::vector<int32_t> Device::Download(const DeviceIds& x) {
  std::vector<int32_t> values(static_cast<size_t>(x.elements()));
  backend_->Download(x, values);
  backend_->Synchronise();
  return values;
}

}  // namespace conclave
