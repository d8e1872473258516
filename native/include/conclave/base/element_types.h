#pragma once

// How the elements of weights are encoded.

#include <cstddef>

namespace conclave {

// Element encoding of a checkpoint's tensor. The first three are numbers by themselves; the others
// are codes, scales of codes, or ids.
enum class SourceType { kF32, kF16, kBF16, kI32, kI8, kU8, kF8E4M3, kF8E8M0, kI64 };

inline bool IsFloat(SourceType type) { return type <= SourceType::kBF16; }

inline size_t ElementBytes(SourceType type) {
  constexpr size_t kBytes[] = {4, 2, 2, 4, 1, 1, 1, 1, 8};
  return kBytes[static_cast<size_t>(type)];
}

// See WeightsFormat in native.ts. kF32 keeps the source's own encoding (f32, f16 or bf16) and
// multiplies in f32, which is exact.
enum class WeightsFormat { kF32, kBF16, kQ8, kQ4 };

// Every format, as the boundary names it.
struct NamedFormat {
  const char* name;
  WeightsFormat format;
};
inline constexpr NamedFormat kWeightsFormats[] = {{"f32", WeightsFormat::kF32},
                                                  {"bf16", WeightsFormat::kBF16},
                                                  {"q8", WeightsFormat::kQ8},
                                                  {"q4", WeightsFormat::kQ4}};

inline const char* NameOf(WeightsFormat format) {
  return kWeightsFormats[static_cast<size_t>(format)].name;
}

}  // namespace conclave
