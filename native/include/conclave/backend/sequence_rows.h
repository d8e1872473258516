#pragma once

#include <cstdint>
#include <span>

namespace conclave {

// SequenceRows in native.ts.
struct SequenceRows {
  std::span<const int32_t> positions;         // [rows]
  std::span<const int32_t> sequence_offsets;  // [sequences + 1]
  std::span<const int32_t> block_tables;
  std::span<const int32_t> block_offsets;  // [sequences + 1]
  std::span<const int32_t> state_slots{};  // [sequences]; -1: no state is kept
};

}  // namespace conclave
