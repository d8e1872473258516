#pragma once

#include "kernels/cuda/attention/arguments.h"

namespace conclave::cuda {

// Writes the rows' keys into the cache, or their values, an element each.
template <typename Element>
struct AppendToCache {
  AttentionArguments a;
  const float* x;  // [rows, kv_heads * dims]
  int64_t dims;
  bool values;

  __device__ void operator()(int64_t i) const {
    const int64_t width = a.params.kv_heads * dims, row = i / width;
    const auto head = static_cast<int>(i % width / dims);
    const int32_t* const table = a.block_tables + a.block_offsets[a.row_sequences[row]];
    auto* const cache = static_cast<Element*>(a.cache.data);
    const int64_t at = CacheIndex(a.cache, table, a.positions[row], head, values);
    cache[at + i % dims] = FromFloat<Element>(x[i]);
  }
};

}  // namespace conclave::cuda
