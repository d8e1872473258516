#pragma once

// Backends under test, and what a test needs to run the same operation on one of them and on the
// reference.

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "conclave/backend/backend.h"
#include "kernels/reference/backend.h"

namespace conclave {

struct BackendCase {
  std::string name;
  std::unique_ptr<Backend> (*create)(int threads);
  bool slow = false;  // Tests that repeat themselves give it fewer cases.
};

// The reference, every instruction set of this machine, AVX-512 without its extensions, and the
// kernels of GPUs under emulation.
std::vector<BackendCase> BackendCases();

constexpr double kEpsilon = 0x1p-24;  // half an ulp of f32

std::vector<float> Normal(int64_t count, unsigned seed);

// A backend and the memory of a test.
class Device {
 public:
  explicit Device(std::unique_ptr<Backend> backend)
      : backend_(std::move(backend)), arena_(*backend_) {}

  Backend& operator*() { return *backend_; }
  Backend* operator->() { return backend_.get(); }

  Tensor Upload(const std::vector<float>& values, int64_t width);
  // Filled with a number that no operation gives.
  Tensor Empty(int64_t rows, int64_t width);
  DeviceIds UploadIds(const std::vector<int32_t>& values, int64_t width);
  // Sums of zeros.
  Totals Zeros(int64_t rows, int64_t width);
  std::vector<float> Download(const Tensor& x);
  std::vector<int32_t> Download(const DeviceIds& x);

 private:
  std::unique_ptr<Backend> backend_;
  Arena arena_;
};

constexpr float kUntouched = -777;

class ConformanceTest : public testing::TestWithParam<BackendCase> {
 protected:
  Device device_{GetParam().create(2)};
  Device reference_{std::make_unique<ReferenceBackend>()};
};

inline std::string BackendName(const testing::TestParamInfo<BackendCase>& info) {
  return info.param.name;
}

#define CONCLAVE_CONFORMANCE(Test) \
  INSTANTIATE_TEST_SUITE_P(Backends, Test, testing::ValuesIn(BackendCases()), BackendName)

}  // namespace conclave
