#include "kernels/cpu/exact_sum/exact_sum.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "conclave/base/expect.h"
#include "kernels/cpu/exact_sum/kernel.h"
#include "kernels/cpu/machine/cpu_features.h"

namespace conclave {
namespace {

static_assert(std::endian::native == std::endian::little);

const ExactSumKernel& KernelFor(Isa isa) {
  [[maybe_unused]] static const CpuFeatures features = DetectCpuFeatures();
#if defined(__x86_64__)
  if (isa == Isa::kAvx512 && features.avx512) return kExactSumAvx512;
  if (isa == Isa::kAvx2 && features.avx2) return kExactSumAvx2;
#endif
  if (isa != Isa::kPortable)
    throw Error(ErrorCode::kUnsupported, "exact sum: this CPU lacks the instruction set asked for");
  return kExactSumPortable;
}

double PowerOfTwo(int exponent) {
  return std::bit_cast<double>(static_cast<uint64_t>(1023 + exponent) << 52);
}

// Upper half of the bits of 2^exponent.
constexpr int32_t HighBits(int exponent) { return (1023 + exponent) << 20; }

}  // namespace

void FindGrid(Isa isa, const float* x, float epsilon, int bits, int64_t rows, int64_t width,
              int32_t* exponents) {
  Expect(width >= 1, "width", "1 or more", width);
  const ExactSumKernel& kernel = KernelFor(isa);
  for (int64_t row = 0; row < rows; ++row) {
    const double squares = kernel.sum_of_squares(x + row * width, width);
    const double mean = squares / static_cast<double>(width) + static_cast<double>(epsilon);
    // A row of zeros without epsilon, and one that is not finite, get the ends of the range.
    const double scale = std::sqrt(std::clamp(mean, 0x1p-252, 0x1p252));
    exponents[row] = (std::isnan(scale) ? 126 : std::ilogb(scale)) - bits;
  }
}

void AddTerm(Isa isa, const float* values, float weight, int exponent, int64_t count,
             double* totals) {
  KernelFor(isa).add_term(values, weight, PowerOfTwo(-exponent), count, totals);
}

void AddTotal(Isa isa, const double* totals, int exponent, float multiplier, int64_t count,
              float* output) {
  KernelFor(isa).add_total(totals, PowerOfTwo(exponent), multiplier, count, output);
}

PartialType NarrowestType(Isa isa, const double* totals, int64_t count) {
  const int32_t largest = KernelFor(isa).largest(totals, count);
  if (largest < HighBits(23)) return PartialType::kI24;
  return largest < HighBits(31) ? PartialType::kI32 : PartialType::kF64;
}

void EncodeTotals(Isa isa, PartialType type, const double* totals, int64_t count, uint8_t* bytes) {
  switch (type) {
    case PartialType::kI24:
      return KernelFor(isa).encode_i24(totals, count, bytes);
    case PartialType::kI32:
      return KernelFor(isa).encode_i32(totals, count, bytes);
    case PartialType::kF64:
      std::memcpy(bytes, totals, static_cast<size_t>(count) * sizeof(double));
  }
}

void AddEncoded(Isa isa, PartialType type, const uint8_t* bytes, int64_t count, double* totals) {
  switch (type) {
    case PartialType::kI24:
      return KernelFor(isa).add_i24(bytes, count, totals);
    case PartialType::kI32:
      return KernelFor(isa).add_i32(bytes, count, totals);
    case PartialType::kF64:
      for (int64_t i = 0; i < count; ++i) {
        double total;
        std::memcpy(&total, bytes + 8 * i, sizeof total);
        totals[i] += total;
      }
  }
}

}  // namespace conclave
