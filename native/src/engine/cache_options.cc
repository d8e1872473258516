#include <cstdint>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "conclave/base/message.h"
#include "conclave/engine/cache_options.h"

namespace conclave {
namespace {

// Offsets must rise from 0 to `end`; strictly where every entry must have something.
void CheckOffsets(const std::string& name, std::span<const int32_t> offsets, size_t count,
                  size_t end, bool strictly) {
  if (offsets.size() != count)
    Fail(ErrorCode::kInvalidArgument, name, ": expected ", count, " entries, got ", offsets.size());
  if (offsets.front() != 0)
    Fail(ErrorCode::kInvalidArgument, name, "[0]: expected 0, got ", offsets.front());
  for (size_t i = 1; i < count; ++i) {
    const int64_t least = int64_t{offsets[i - 1]} + (strictly ? 1 : 0);
    if (offsets[i] < least)
      Fail(ErrorCode::kInvalidArgument, name, "[", i, "]: expected at least ", least, ", got ",
           offsets[i]);
  }
  if (static_cast<size_t>(offsets.back()) != end) {
    Fail(ErrorCode::kInvalidArgument, name, "[", count - 1, "]: expected ", end, ", got ",
         offsets.back());
  }
}

void CheckStateSlots(const std::string& name, std::span<const int32_t> slots, size_t sequences,
                     int64_t count) {
  if (slots.size() != sequences) {
    Fail(ErrorCode::kInvalidArgument, name, ": expected ", sequences,
         " entries, one per sequence, got ", slots.size());
  }
  std::unordered_set<int32_t> taken;
  for (size_t s = 0; s < sequences; ++s) {
    if (count == 0 && slots[s] == -1) continue;
    if (count == 0) {
      Fail(ErrorCode::kInvalidArgument, name, "[", s,
           "]: expected -1 where no states are kept, got ", slots[s]);
    }
    if (slots[s] < 0 || slots[s] >= count) {
      Fail(ErrorCode::kInvalidArgument, name, "[", s, "]: expected 0 to ", count - 1, ", got ",
           slots[s]);
    }
    if (!taken.insert(slots[s]).second) {
      Fail(ErrorCode::kInvalidArgument, name, "[", s, "]: expected a slot of its own, got ",
           slots[s], " again");
    }
  }
}

}  // namespace

void ValidateCacheOptions(const CacheOptions& cache) {
  if (cache.kv_blocks < 1 || cache.kv_blocks > std::numeric_limits<int32_t>::max()) {
    Fail(ErrorCode::kInvalidArgument, "kvBlocks: expected 1 to 2^31 - 1, got ", cache.kv_blocks);
  }
  if (cache.block_size < 1 || cache.block_size > 4096) {
    Fail(ErrorCode::kInvalidArgument, "blockSize: expected 1 to 4096, got ", cache.block_size);
  }
  if (cache.state_slots < 0 || cache.state_slots > std::numeric_limits<int32_t>::max()) {
    Fail(ErrorCode::kInvalidArgument, "stateSlots: expected 0 to 2^31 - 1, got ",
         cache.state_slots);
  }
}

void ValidateSequenceRows(const std::string& path, const SequenceRows& where,
                          const CacheOptions& cache) {
  const size_t rows = where.positions.size();
  if (rows == 0) Fail(ErrorCode::kInvalidArgument, path, "positions: expected at least one row");
  const size_t count = where.sequence_offsets.size();
  if (count < 2)
    Fail(ErrorCode::kInvalidArgument, path, "sequenceOffsets: expected at least 2 entries, got ",
         count);
  CheckOffsets(path + "sequenceOffsets", where.sequence_offsets, count, rows, true);
  CheckOffsets(path + "blockOffsets", where.block_offsets, count, where.block_tables.size(), false);
  CheckStateSlots(path + "stateSlots", where.state_slots, count - 1, cache.state_slots);
  for (size_t i = 0; i < where.block_tables.size(); ++i) {
    if (where.block_tables[i] < 0 || where.block_tables[i] >= cache.kv_blocks) {
      Fail(ErrorCode::kInvalidArgument, path, "blockTables[", i, "]: expected 0 to ",
           cache.kv_blocks - 1, ", got ", where.block_tables[i]);
    }
  }
  std::unordered_map<int32_t, size_t>
      writers;  // block -> entry of the table through which rows write to it
  for (size_t s = 0; s + 1 < count; ++s) {
    const int32_t first_block = where.block_offsets[s];
    const int64_t capacity = int64_t{where.block_offsets[s + 1] - first_block} * cache.block_size;
    const int64_t start = where.positions[where.sequence_offsets[s]];
    for (int32_t row = where.sequence_offsets[s]; row < where.sequence_offsets[s + 1]; ++row) {
      const int64_t expected = start + row - where.sequence_offsets[s];
      const int32_t position = where.positions[row];
      if (position != expected) {
        Fail(ErrorCode::kInvalidArgument, path, "positions[", row, "]: expected ", expected,
             " after the row before it, got ", position);
      }
      if (position < 0 || position >= capacity) {
        Fail(ErrorCode::kInvalidArgument, path, "positions[", row, "]: expected 0 to ",
             capacity - 1, " (the blocks of sequence ", s, "), got ", position);
      }
      if (row > where.sequence_offsets[s] && position % cache.block_size != 0) continue;
      const auto entry = static_cast<size_t>(first_block + position / cache.block_size);
      const auto [writer, added] = writers.emplace(where.block_tables[entry], entry);
      if (!added && writer->second != entry) {
        Fail(ErrorCode::kInvalidArgument, path, "blockTables[", entry, "]: block ",
             where.block_tables[entry], " is written through entry ", writer->second, " too");
      }
    }
  }
}

}  // namespace conclave
