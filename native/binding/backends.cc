#include "binding/backends.h"

#include "kernels/cpu/backend.h"
#include "kernels/reference/backend.h"

namespace conclave::binding {
namespace {

struct NamedKernels {
  const char* name;
  Isa isa;
  Bf16Pairs pairs;
};

constexpr NamedKernels kCpuBackends[] = {
    {"portable", Isa::kPortable, Bf16Pairs::kWhereFast},
    {"portable-bf16", Isa::kPortable, Bf16Pairs::kAlways},
    {"avx2", Isa::kAvx2, Bf16Pairs::kWhereFast},
    {"avx512", Isa::kAvx512, Bf16Pairs::kWhereFast},
    {"avx512-bf16", Isa::kAvx512, Bf16Pairs::kAlways},
};
constexpr const char* kReference = "reference";

}  // namespace

std::vector<std::string> BackendNames() {
  std::vector<std::string> names;
  for (const NamedKernels& kernels : kCpuBackends) names.emplace_back(kernels.name);
  names.emplace_back(kReference);
  return names;
}

std::shared_ptr<Backend> CreateBackend(const std::optional<std::string>& name, int threads) {
  if (name == kReference) return std::make_shared<ReferenceBackend>(threads);
  for (const NamedKernels& kernels : kCpuBackends) {
    if (name == kernels.name)
      return std::make_shared<CpuBackend>(threads, kernels.isa, kernels.pairs);
  }
  return std::make_shared<CpuBackend>(threads, SupportedIsas().back());
}

}  // namespace conclave::binding
