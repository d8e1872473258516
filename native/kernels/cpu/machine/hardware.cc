#include "kernels/cpu/machine/hardware.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

#include "kernels/cpu/machine/cpu_features.h"
#include "kernels/cpu/machine/machine_limits.h"
#include "kernels/cpu/machine/weight_memory.h"

namespace conclave {

int UsableCpus() {
#if defined(__linux__)
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

std::vector<std::string> CpuExtensions() {
  const CpuFeatures features = DetectCpuFeatures();
  std::vector<std::string> names;
  if (features.avx2) names.insert(names.end(), {"avx2", "fma", "f16c"});
  if (features.avx512) names.push_back("avx512");
  if (features.avx512_bf16) names.push_back("avx512_bf16");
  if (features.avx512_vnni) names.push_back("avx512_vnni");
  return names;
}

MachineLimits MeasureLimits(ThreadPool& pool) {
  constexpr size_t kBytes = size_t{1} << 30;  // more than any cache holds
  const std::shared_ptr<uint8_t> storage = WeightMemory().Allocate(kBytes);  // as weights lie
  std::memset(storage.get(), 1, kBytes);
  const std::span<const uint8_t> memory(storage.get(), kBytes);
  MachineLimits limits{};
  for (int repeat = 0; repeat < 5; ++repeat) {
    limits.read_bytes_per_second =
        std::max(limits.read_bytes_per_second, MeasureReadBandwidth(pool, memory));
  }
  for (const ArithmeticLimit& limit : MeasureArithmetic(pool)) {
    limits.arithmetic.push_back({limit.name, limit.multiply_adds_per_second});
  }
  return limits;
}

}  // namespace conclave
