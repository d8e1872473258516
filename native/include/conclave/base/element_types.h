#pragma once

// How the elements of weights are encoded.

#include <cstddef>

namespace conclave {

// Element encoding of a checkpoint's tensor.
enum class SourceType { kF32, kF16, kBF16 };

inline size_t ElementBytes(SourceType type) { return type == SourceType::kF32 ? 4 : 2; }

// See WeightsFormat in native.ts. kF32 keeps the source's own encoding (f32, f16 or bf16) and
// multiplies in f32, which is exact.
enum class WeightsFormat { kF32, kBF16, kQ8 };

}  // namespace conclave
