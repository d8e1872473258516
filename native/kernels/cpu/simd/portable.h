#pragma once

// Vectors of 4 floats or 32-bit integers by the compiler's own vector types: SSE2 on x86-64, NEON
// on Arm. See simd_avx512.h for the contract. Round, ToNearest and TimesPowerOfTwo take magnitudes
// below 2^22.

#include <cstdint>
#include <cstring>

#include "conclave/base/number_formats.h"

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
  static Int ZeroInt() { return Int{}; }
  static Float Broadcast(float x) { return Float{x, x, x, x}; }
  static Float BroadcastFloat(const void* p) { return Broadcast(At<float>(p)); }
  static Int BroadcastInt(const void* p) {
    const auto x = At<int32_t>(p);
    return Int{x, x, x, x};
  }
  static Float Load(const void* p) { return At<Float>(p); }
  static Int LoadInt(const void* p) { return At<Int>(p); }
  static Float LoadF16(const void* p) {
    const auto* halves = static_cast<const uint8_t*>(p);
    const auto at = [&](int i) { return F16ToFloat(At<uint16_t>(halves + 2 * i)); };
    return Float{at(0), at(1), at(2), at(3)};
  }
  static void Store(float* p, Float x) { std::memcpy(p, &x, sizeof x); }

  static Float Fma(Float a, Float b, Float c) { return a * b + c; }
  static Float Min(Float a, Float b) { return Select(a < b, a, b); }
  static Float Max(Float a, Float b) { return Select(a > b, a, b); }
  static Int Max(Int a, Int b) {
    const Int greater = a > b;
    return (a & greater) | (b & ~greater);
  }
  static Float Round(Float x) { return (x + Rounder()) - Rounder(); }
  static Float TimesPowerOfTwo(Float x, Float n) { return x * Float((ToNearest(n) + 127) << 23); }
  static Float ToFloat(Int x) { return __builtin_convertvector(x, Float); }
  static Int ToNearest(Float x) { return Int(x + Rounder()) - Int(Rounder()); }
  static Int MagnitudeBits(Float x) { return Int(x) & 0x7fffffff; }

  static Float FirstOfPair(Float x) { return Float(Int(x) << 16); }
  static Float SecondOfPair(Float x) { return Float(Int(x) & static_cast<int32_t>(0xffff0000)); }
  // 16-bit elements as the firsts of pairs whose seconds are 0.
  static Float LoadFirsts(const void* p) {
    const auto* firsts = static_cast<const uint8_t*>(p);
    const auto at = [&](int i) { return int32_t{At<uint16_t>(firsts + 2 * i)}; };
    return Float(Int{at(0), at(1), at(2), at(3)});
  }
  static Float DropSecond(Float x) { return Float(Int(x) & 0xffff); }
  static Float KeepLanes(Float x, int first, int end, Float other) {
    const Int lane = {0, 1, 2, 3};
    return Select((lane >= first) & (lane < end), x, other);
  }
  static Float Exp2(Float x, const float* polynomial) {
    const Float lowest = Broadcast(-126);
    const Int normal = ~(x < lowest);
    const Float clamped = Select(normal, x, lowest);
    const Float n = Round(clamped);
    const Float f = clamped - n;
    Float p = Broadcast(polynomial[6]);
    for (int i = 5; i >= 0; --i) p = Fma(p, f, Broadcast(polynomial[i]));
    return Float(Int(TimesPowerOfTwo(p, n)) & normal);
  }

  static float Sum(Float x) { return (x[0] + x[2]) + (x[1] + x[3]); }
  static float Maximum(Float x) {
    const float a = x[0] > x[1] ? x[0] : x[1];
    const float b = x[2] > x[3] ? x[2] : x[3];
    return a > b ? a : b;
  }
  static int32_t Maximum(Int x) {
    const int32_t a = x[0] > x[1] ? x[0] : x[1];
    const int32_t b = x[2] > x[3] ? x[2] : x[3];
    return a > b ? a : b;
  }

  static int32_t StoreInt8(const Int values[8], int8_t* out) {
    Int sum{};
    for (int i = 0; i < 8; ++i) {
      for (int lane = 0; lane < 4; ++lane) out[4 * i + lane] = static_cast<int8_t>(values[i][lane]);
      sum += values[i];
    }
    return sum[0] + sum[1] + sum[2] + sum[3];
  }

 private:
  template <typename T>
  static T At(const void* p) {
    T x;
    std::memcpy(&x, p, sizeof x);
    return x;
  }
  // 1.5 * 2^23: adding it rounds to an integer, to nearest even, in the low bits.
  static Float Rounder() { return Broadcast(12582912); }
  static Float Select(Int mask, Float a, Float b) {
    return Float((Int(a) & mask) | (Int(b) & ~mask));
  }
};

}  // namespace
}  // namespace conclave
