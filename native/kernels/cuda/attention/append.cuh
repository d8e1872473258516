#pragma once

#include "kernels/cuda/attention/arguments.h"

namespace conclave::cuda {

// Writes the rows' keys and values into the cache, an element each.
template <typename Element>
struct AppendToCache {
  AttentionArguments a;
  int64_t width;  // kv_heads * head_dim

  __device__ void operator()(int64_t i) const {
    const int64_t row = i / width, dims = a.params.head_dim;
    const auto head = static_cast<int>(i % width / dims);
    const int64_t element = i % dims;
    const int32_t* const table = a.block_tables + a.block_offsets[a.row_sequences[row]];
    auto* const cache = static_cast<Element*>(a.cache.data);
    const int64_t position = a.positions[row];
    cache[CacheIndex(a.cache, table, position, head, false) + element] = FromFloat<Element>(a.k[i]);
    if (a.v == nullptr) return;
    cache[CacheIndex(a.cache, table, position, head, true) + element] = FromFloat<Element>(a.v[i]);
  }
};

}  // namespace conclave::cuda
