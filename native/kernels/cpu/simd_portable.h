#pragma once

// Vectors of 4 floats or 32-bit integers by the compiler's own vector types: SSE2 on x86-64, NEON
// on Arm. See simd_avx512.h for the contract.

#include <cstdint>
#include <cstring>

namespace conclave {
namespace {

struct Simd {
  static constexpr int kLanes = 4;
  // Rows and vectors of a register tile of attention, and vectors of one with 4 rows.
  static constexpr int kTileRows = 4;
  static constexpr int kTileVectors = 2;
  static constexpr int kTileVectorsOf4 = 2;
  using Float = float __attribute__((vector_size(16)));
  using Int = int32_t __attribute__((vector_size(16)));

  static Float Zero() { return Float{}; }
  static Float Broadcast(float x) { return Float{x, x, x, x}; }
  static Float Load(const void* p) {
    Float x;
    std::memcpy(&x, p, sizeof x);
    return x;
  }
  static void Store(float* p, Float x) { std::memcpy(p, &x, sizeof x); }
  static Float Fma(Float a, Float b, Float c) { return a * b + c; }
  static Float Max(Float a, Float b) { return Select(a > b, a, b); }
  static Float FirstOfPair(Float x) { return Float(Int(x) << 16); }
  static Float SecondOfPair(Float x) { return Float(Int(x) & static_cast<int32_t>(0xffff0000)); }
  static Float DropSecond(Float x) { return Float(Int(x) & 0xffff); }
  static Float KeepLanes(Float x, int first, int end, Float other) {
    const Int lane = {0, 1, 2, 3};
    return Select((lane >= first) & (lane < end), x, other);
  }
  static Float Exp2(Float x, const float* polynomial) {
    const Float lowest = Broadcast(-126);
    const Float round = Broadcast(12582912);
    const Int normal = ~(x < lowest);
    const Float clamped = Select(normal, x, lowest);
    const Float shifted = clamped + round;
    const Float f = clamped - (shifted - round);
    Float p = Broadcast(polynomial[6]);
    for (int i = 5; i >= 0; --i) p = p * f + Broadcast(polynomial[i]);
    const Int power = (Int(shifted) - Int(round) + 127) << 23;
    return Float(Int(p * Float(power)) & normal);
  }
  static float Sum(Float x) { return (x[0] + x[2]) + (x[1] + x[3]); }
  static float Maximum(Float x) {
    const float a = x[0] > x[1] ? x[0] : x[1];
    const float b = x[2] > x[3] ? x[2] : x[3];
    return a > b ? a : b;
  }

 private:
  static Float Select(Int mask, Float a, Float b) {
    return Float((Int(a) & mask) | (Int(b) & ~mask));
  }
};

}  // namespace
}  // namespace conclave
