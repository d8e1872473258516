#pragma once

// e^x by 2^n p(f) with n = round(x log2 e), |f| <= 1/2 and p a minimax polynomial of 2^f. Relative
// error below 2e-7 (2 ulp) where the result is a normal number; 0 below -87.3, infinite above 88.7,
// NaN stays NaN. Written without branches so that loops over it become vector code.

#include <bit>
#include <cstdint>
#include <limits>

namespace conclave {

// Coefficients of 2^f on [-1/2, 1/2], relative error 1.9e-9.
inline constexpr float kExp2Polynomial[] = {1.0f,          0.693147206f,   0.240226469f,
                                            0.0555032878f, 0.00961848896f, 0.00133999312f,
                                            0.00015345812f};

inline float Exp(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;  // Few bits, so that n * kLn2High is exact.
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRound =
      12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits.
  constexpr float kLowest = -87.3365f;
  constexpr float kHighest = 88.7228f;
  const float clamped = x < kLowest ? kLowest : (x > kHighest ? kHighest : x);
  const float shifted = clamped * kLog2E + kRound;
  const float n = shifted - kRound;
  const float f = ((clamped - n * kLn2High) - n * kLn2Low) * kLog2E;
  const float* c = kExp2Polynomial;
  const float p = c[0] + f * (c[1] + f * (c[2] + f * (c[3] + f * (c[4] + f * (c[5] + f * c[6])))));
  // 2^n in two factors, as n = 128 has no exponent of its own.
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound);
  const int32_t half = exponent >> 1;
  const float scale = std::bit_cast<float>(static_cast<uint32_t>(half + 127) << 23);
  const float rest = std::bit_cast<float>(static_cast<uint32_t>(exponent - half + 127) << 23);
  const float y = p * scale * rest;
  const float low = x < kLowest ? 0.0f : y;
  return x > kHighest ? std::numeric_limits<float>::infinity() : low;
}

}  // namespace conclave
