#pragma once

#include <cstdint>

#include "conclave/base/range.h"
#include "conclave/model/spec.h"

namespace conclave {

// The fraction [begin, end) / parts of an operator; see Share in plan.proto.
struct Share {
  int begin = 0;
  int end = 1;
  int parts = 1;

  // Its part of `count` heads.
  Range Heads(int count) const;
  // Its part of an intermediate dimension.
  Range Width(int64_t width) const;
};

// RankSlice in native.ts.
struct RankSlice {
  int first_layer = 0;
  int end_layer = 0;
  Share share;
};

// Elements [begin / parts, end / parts) of `width`, cut at multiples of the quantisation group (32)
// where the width allows it, so that a quantised slice equals the slice of the quantised whole.
// Every machine cuts at the same places.
Range SliceRange(int64_t width, int64_t begin, int64_t end, int64_t parts);

// Throws kInvalidArgument when the slice does not fit the model, kUnsupported when it cannot be
// calculated by itself.
void ValidateRankSlice(const ModelSpec& spec, const RankSlice& slice);

// Whether the slice holds its layers undivided.
bool HoldsEverything(const RankSlice& slice);

}  // namespace conclave
