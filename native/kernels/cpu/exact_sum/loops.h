#pragma once

// Plain loops, which the compiler makes into vector code of the including file's instruction set.

#include <cstdint>
#include <cstring>

#include "kernels/cpu/exact_sum/kernel.h"

namespace conclave {
namespace {

// In 16 partial sums, then those in order: the same whatever the width of a vector.
double SumOfSquares(const float* x, int64_t count) {
  double sums[16] = {};
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (int j = 0; j < 16; ++j) {
      const double v = x[i + j];
      sums[j] += v * v;
    }
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  for (; i < count; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

// Adding 1.5 * 2^52 leaves no room for a fraction. A larger term is an integer already, as it has
// the 24 bits of an f32.
constexpr double kRounder = 0x1.8p52;

void AddTerm(const float* __restrict values, float weight, double steps, int64_t count,
             double* __restrict totals) {
  for (int64_t i = 0; i < count; ++i) {
    const float term = weight * values[i];
    totals[i] += (static_cast<double>(term) * steps + kRounder) - kRounder;
  }
}

void AddTotal(const double* __restrict totals, double step, float multiplier, int64_t count,
              float* __restrict output) {
  for (int64_t i = 0; i < count; ++i) {
    output[i] += multiplier * static_cast<float>(totals[i] * step);
  }
}

int32_t Largest(const double* totals, int64_t count) {
  int32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    int64_t bits;
    std::memcpy(&bits, totals + i, sizeof bits);
    const auto high = static_cast<int32_t>(bits >> 32) & 0x7fffffff;
    largest = high > largest ? high : largest;
  }
  return largest;
}

void EncodeI32(const double* totals, int64_t count, uint8_t* __restrict bytes) {
  for (int64_t i = 0; i < count; ++i) {
    const auto value = static_cast<int32_t>(totals[i]);
    std::memcpy(bytes + 4 * i, &value, 4);
  }
}

// Little-endian, as all machines that Conclave runs on are. Writes four bytes for three: the next
// element takes the last of them.
void EncodeI24(const double* totals, int64_t count, uint8_t* __restrict bytes) {
  if (count == 0) return;
  for (int64_t i = 0; i < count - 1; ++i) {
    const auto value = static_cast<int32_t>(totals[i]);
    std::memcpy(bytes + 3 * i, &value, 4);
  }
  const auto last = static_cast<int32_t>(totals[count - 1]);
  std::memcpy(bytes + 3 * (count - 1), &last, 3);
}

void AddI32(const uint8_t* __restrict bytes, int64_t count, double* __restrict totals) {
  for (int64_t i = 0; i < count; ++i) {
    int32_t value;
    std::memcpy(&value, bytes + 4 * i, 4);
    totals[i] += value;
  }
}

// Reads the byte before each element with it and shifts it out.
void AddI24(const uint8_t* __restrict bytes, int64_t count, double* __restrict totals) {
  if (count == 0) return;
  int32_t first = 0;
  std::memcpy(&first, bytes, 3);
  totals[0] += static_cast<int32_t>(static_cast<uint32_t>(first) << 8) >> 8;
  for (int64_t i = 1; i < count; ++i) {
    int32_t value;
    std::memcpy(&value, bytes + 3 * i - 1, 4);
    totals[i] += value >> 8;
  }
}

constexpr ExactSumKernel kLoops = {SumOfSquares, AddTerm,   AddTotal, Largest,
                                   EncodeI24,    EncodeI32, AddI24,   AddI32};

}  // namespace
}  // namespace conclave
