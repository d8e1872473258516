#pragma once

// Vectors of 4 floats by the compiler's own vector types: SSE2 on x86-64, NEON on Arm. See
// simd_avx512.h for the contract.

#include <cstdint>
#include <cstring>

namespace conclave {
namespace {

struct Simd {
  static constexpr int kWidth = 4;
  // Rows and vectors of a register tile of a matrix product, and vectors of one with 4 rows.
  static constexpr int kTileRows = 4;
  static constexpr int kTileVectors = 2;
  static constexpr int kTileVectorsOf4 = 2;
  using F = float __attribute__((vector_size(16)));
  using I = int32_t __attribute__((vector_size(16)));

  static F Zero() { return F{}; }
  static F Broadcast(float x) { return F{x, x, x, x}; }
  static F Load(const float* p) {
    F x;
    std::memcpy(&x, p, sizeof x);
    return x;
  }
  static F LoadLanes(const uint8_t* p) {
    F x;
    std::memcpy(&x, p, sizeof x);
    return x;
  }
  static void Store(float* p, F x) { std::memcpy(p, &x, sizeof x); }
  static F Fma(F a, F b, F c) { return a * b + c; }
  static F Max(F a, F b) { return Select(a > b, a, b); }
  static F FirstOfPair(F x) { return F(I(x) << 16); }
  static F SecondOfPair(F x) { return F(I(x) & static_cast<int32_t>(0xffff0000)); }
  static F DropSecond(F x) { return F(I(x) & 0xffff); }
  static F KeepLanes(F x, int first, int end, F other) {
    const I lane = {0, 1, 2, 3};
    return Select((lane >= first) & (lane < end), x, other);
  }
  static F Exp2(F x, const float* polynomial) {
    const F lowest = Broadcast(-126);
    const F round = Broadcast(12582912);
    const I normal = ~(x < lowest);
    const F clamped = Select(normal, x, lowest);
    const F shifted = clamped + round;
    const F f = clamped - (shifted - round);
    F p = Broadcast(polynomial[6]);
    for (int i = 5; i >= 0; --i) p = p * f + Broadcast(polynomial[i]);
    const I power = (I(shifted) - I(round) + 127) << 23;
    return F(I(p * F(power)) & normal);
  }
  static float Sum(F x) { return (x[0] + x[2]) + (x[1] + x[3]); }
  static float Maximum(F x) {
    const float a = x[0] > x[1] ? x[0] : x[1];
    const float b = x[2] > x[3] ? x[2] : x[3];
    return a > b ? a : b;
  }

 private:
  static F Select(I mask, F a, F b) { return F((I(a) & mask) | (I(b) & ~mask)); }
};

}  // namespace
}  // namespace conclave
