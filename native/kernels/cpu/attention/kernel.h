#pragma once

// The part of attention that one instruction set computes. attention.cc plans the work and calls
// it.
//
// A tile is some consecutive rows of one sequence with all query heads of one key/value head: rows
// * group query vectors, ordered by row, then head. Keys are taken in segments of 16 groups of 16
// positions, counted from position 0:
//
//   segment s, vector v:  m = max_j score[j],  l = sum_j 2^(score[j] - m),  o = sum_j 2^(score[j] -
//   m) value[j] over segments:        M' = max(M, m),  L' = L 2^(M - M') + l 2^(m - M'),  O' = O
//   2^(M - M') + o 2^(m - M')
//
// with score[j] = (q * scale * log2 e) . key[j], softcapped where the model says so, -inf where row
// and position do not see each other. Sums go up in position and segments in order, so that a row's
// result does not depend on the other rows of its tile, nor on who computes which segment.

#include <cstdint>

namespace conclave {

// First position that a row at `position` sees. Each file has its own: files differ in instruction
// sets.
static inline int64_t FirstSeen(int64_t position, int64_t window, int64_t chunk) {
  const int64_t of_chunk = chunk > 0 ? position / chunk * chunk : 0;
  const int64_t of_window = window > 0 ? position + 1 - window : 0;
  return of_chunk > of_window ? of_chunk : of_window > 0 ? of_window : 0;
}

inline constexpr int kGroupPositions = 16;
inline constexpr int kLaneBytes = 4;  // A lane holds one f32 or a pair of bf16.
inline constexpr int kSegmentGroups = 16;

struct AttentionTile {
  int rows;
  int group;  // Query heads per key/value head.
  int head_dim;
  int64_t first_position;  // Of row 0; the others follow.
  int64_t window;          // Positions that a row sees, its own included; 0: all up to its own.
  int64_t chunk;           // Rows see positions of their chunk of this many; 0: of all.
  float softcap;           // Of scores as they stand here, times log2 e; 0: none.
  // Of KvLayout.
  int value_dims;
  int values_inside;
  int key_rows;
  bool whole_groups;
  // Words of the positions that row 0 reads, and words from one row's to the next's; null: all.
  const int32_t* selected;
  int64_t selected_stride;
  int64_t selected_words;
};

// Bits of the 16 positions from `position` on; words of positions beyond the last may be missing.
static inline uint32_t SelectedBits(const int32_t* words, int64_t count, int64_t position) {
  const int64_t word = position / 32;
  if (word >= count) return 0;
  uint64_t bits = static_cast<uint32_t>(words[word]);
  if (word + 1 < count) bits |= uint64_t{static_cast<uint32_t>(words[word + 1])} << 32;
  return static_cast<uint32_t>(bits >> (position % 32)) & 0xffff;
}

// A group of positions in the cache.
struct AttentionGroup {
  const uint8_t* keys;
  const uint8_t* values;
  const uint8_t*
      next_keys;  // Of the group a segment later, to be fetched ahead; in the last segment its own.
  int64_t position;  // Of lane 0.
  int size;          // Lanes.
};

// m, l and o of the vectors of a tile.
struct AttentionState {
  float* max;  // [vectors]
  float* sum;  // [vectors]
  float* out;  // [vectors, value_dims]
};

// Elements of scratch for the scores of one row of a register tile: a segment, and an offset
// against cache-set conflicts.
inline constexpr int64_t kScoreStride = kSegmentGroups * kGroupPositions + 16;
inline constexpr int kMaxTileRows = 8;

struct AttentionKernel {
  // One segment of `packed`, [vectors, head_dim rounded up to even] queries times scale * log2 e:
  // `count` of its groups, ascending, at least those that the tile sees. scores: scratch of
  // kMaxTileRows * kScoreStride.
  void (*segment)(const AttentionTile& tile, const float* packed, const AttentionGroup* groups,
                  int count, float* scores, const AttentionState& part);
  // sums[16 g + lane] = sum over the tile's vectors v of weights[v] max(q_v . key, 0), or the
  // product itself of one vector where weights is null. scores as above; sums: one row of them.
  void (*index)(const AttentionTile& tile, const float* packed, const float* weights,
                const AttentionGroup* groups, int count, float* scores, float* sums);
  // Adds a segment to `total`, which holds the segments before it.
  void (*merge)(const AttentionTile& tile, const AttentionState& part, const AttentionState& total);
};

// bf16: for a bf16 cache.
const AttentionKernel& PortableAttentionKernel(bool bf16);
const AttentionKernel& Avx2AttentionKernel(bool bf16);
const AttentionKernel& Avx512AttentionKernel(bool bf16);

}  // namespace conclave
