#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "conclave/base/thread_pool.h"

namespace conclave {

// Bytes per second at which all threads together read memory that no cache holds.
double MeasureReadBandwidth(ThreadPool& pool, std::span<const uint8_t> memory);

// A kind of multiply-add instruction and what all threads together do with it.
struct ArithmeticLimit {
  std::string name;
  double multiply_adds_per_second;
};

// Of those below that this CPU has: f32 fused multiply-add, bf16 and int8 dot products, in
// registers of 512 or 256 bits.
std::vector<ArithmeticLimit> MeasureArithmetic(ThreadPool& pool);

}  // namespace conclave
