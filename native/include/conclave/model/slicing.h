#pragma once

#include <cstdint>

#include "conclave/base/range.h"
#include "conclave/model/spec.h"

namespace conclave {

// RankSlice in native.ts.
struct RankSlice {
  int first_layer = 0;
  int end_layer = 0;
  int first_kv_head = 0;
  int end_kv_head = 0;
  int ffn_begin = 0;
  int ffn_end = 0;
  int ffn_parts = 1;
};

// Elements [begin / parts, end / parts) of `width`, cut at multiples of the quantisation group (32)
// where the width allows it, so that a quantised slice equals the slice of the quantised whole.
// Every machine cuts at the same places.
Range SliceRange(int64_t width, int64_t begin, int64_t end, int64_t parts);

// Throws kInvalidArgument when the slice does not fit the model, kUnsupported when it cannot be
// calculated by itself.
void ValidateRankSlice(const ModelSpec& spec, const RankSlice& slice);

// Whether the slice holds all heads and all of the dense parts.
bool HoldsEverything(const ModelSpec& spec, const RankSlice& slice);

}  // namespace conclave
