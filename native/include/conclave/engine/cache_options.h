#pragma once

#include <cstdint>
#include <string>

#include "conclave/backend/sequence_rows.h"

namespace conclave {

// CacheOptions in native.ts.
struct CacheOptions {
  int64_t kv_blocks = 0;
  int block_size = 0;
  int64_t state_slots = 0;
};

void ValidateCacheOptions(const CacheOptions& cache);

// Throws kInvalidArgument unless the rows are consecutive positions of their sequences, every block
// that they need is in the table and in the cache, no two sequences write to one block, and each
// has a state slot of its own where there are slots. `path` is put before the names of the fields.
void ValidateSequenceRows(const std::string& path, const SequenceRows& where,
                          const CacheOptions& cache);

}  // namespace conclave
