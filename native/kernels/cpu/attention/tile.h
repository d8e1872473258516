#pragma once

// AttentionKernel for the `Simd` of the including file. Both products are one register tile: R rows
// of the left operand against N vectors of the right one, whose rows are lanes of positions
// (scores) or of dimensions (values).

#include <cstdint>
#include <cstring>

#include "conclave/base/exponential.h"
#include "kernels/cpu/attention/kernel.h"

namespace conclave {
namespace {

using F = Simd::Float;
constexpr int kWidth = Simd::kLanes;
constexpr int kVectorsPerGroup = kGroupPositions / kWidth;
constexpr float kMinusInfinity = -__builtin_inff();

// How lanes of the right operand meet elements of the left one: kPair elements a lane.
struct F32Lanes {
  static constexpr int kPair = 1;
  // sum[r][i] += element i of each lane * left[r] of the lane.
  template <int R>
  static inline __attribute__((always_inline)) void AddEach(F right, const float* left,
                                                            int64_t stride, F (&sum)[R][kPair]) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      sum[r][0] = Simd::Fma(right, Simd::Load(left + r * stride), sum[r][0]);
  }
  template <int R, int N>
  static inline __attribute__((always_inline)) void Add(const F (&right)[N], const float* left,
                                                        int64_t stride, F (&sum)[R][N]) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const F x = Simd::Broadcast(left[r * stride]);
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) sum[r][n] = Simd::Fma(x, right[n], sum[r][n]);
    }
  }
};

struct Bf16Lanes {
  static constexpr int kPair = 2;
  template <int R>
  static inline __attribute__((always_inline)) void AddEach(F right, const float* left,
                                                            int64_t stride, F (&sum)[R][kPair]) {
    const F first = Simd::FirstOfPair(right);
    const F second = Simd::SecondOfPair(right);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const F x = Simd::Load(left + r * stride);
      sum[r][0] = Simd::Fma(first, x, sum[r][0]);
      sum[r][1] = Simd::Fma(second, x, sum[r][1]);
    }
  }
  template <int R, int N>
  static inline __attribute__((always_inline)) void Add(const F (&right)[N], const float* left,
                                                        int64_t stride, F (&sum)[R][N]) {
    F half[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) half[n] = Simd::FirstOfPair(right[n]);
    F32Lanes::Add<R, N>(half, left, stride, sum);
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) half[n] = Simd::SecondOfPair(right[n]);
    F32Lanes::Add<R, N>(half, left + 1, stride, sum);
  }
};

// While keys are read, the values of the same groups are fetched into the second-level cache, and
// while values are read, the keys of the next segment.
inline void Fetch(const uint8_t* p) { __builtin_prefetch(p, 0, 2); }

int64_t FirstKey(const AttentionTile& tile, int row) {
  return FirstSeen(tile.first_position + row, tile.window, tile.chunk);
}

int64_t EndKey(const AttentionTile& tile, int row) { return tile.first_position + row + 1; }

// Bytes between rows of keys in the groups of N vectors: kWhole, or each group its own.
template <int N, bool kWhole>
class KeyRows {
 public:
  void Set(int n, const AttentionGroup& group) {
    if constexpr (!kWhole) bytes_[n] = int64_t{group.size} * kLaneBytes;
  }
  int64_t operator[](int n) const {
    if constexpr (kWhole) return kGroupPositions * kLaneBytes;
    return bytes_[n];
  }

 private:
  int64_t bytes_[N];
};

// scores[r][16 g + lane] of vectors [v, v + N), counted over all groups. kWhole: each has 16 lanes.
template <class Lanes, int R, int N, bool kFetch, bool kWhole>
void ScoreVectors(const AttentionTile& tile, const AttentionGroup* groups, int v, const float* q,
                  int64_t q_stride, float* scores) {
  const uint8_t* keys[N];
  KeyRows<N, kWhole> row_bytes;
  for (int n = 0; n < N; ++n) {
    const AttentionGroup& group = groups[(v + n) / kVectorsPerGroup];
    keys[n] = group.keys + (v + n) % kVectorsPerGroup * kWidth * kLaneBytes;
    row_bytes.Set(n, group);
  }
  F sum[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sum[r][n] = Simd::Zero();
  }
  const int64_t steps = tile.key_rows;
  const int64_t key_bytes = steps * row_bytes[0];
  for (int64_t i = 0; i < steps; ++i) {
    if constexpr (kFetch && kWhole) {
#pragma GCC unroll 8
      for (int n = 0; n < N; n += kVectorsPerGroup) Fetch(keys[n] + key_bytes + i * row_bytes[n]);
    }
    F right[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) right[n] = Simd::Load(keys[n] + i * row_bytes[n]);
    Lanes::template Add<R, N>(right, q + i * Lanes::kPair, q_stride, sum);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n)
      Simd::Store(scores + r * kScoreStride + (v + n) * kWidth, sum[r][n]);
  }
}

// cap * tanh(x / cap); NaN stays NaN.
inline F Softcap(F x, float cap) {
  // e^(2 x / cap), where beyond 2^64 the rest is 1.
  const F exponent = Simd::Min(Simd::Broadcast(64), x * Simd::Broadcast(2.88539008f / cap));
  const F e = Simd::Exp2(exponent, kExp2Polynomial);
  return Simd::Broadcast(cap) - Simd::Broadcast(2 * cap) / (e + Simd::Broadcast(1));
}

// Scores of positions that the row does not read become -inf.
void DropUnselected(const int32_t* words, int64_t count_of_words, const AttentionGroup* groups,
                    int count, float* row) {
  for (int g = 0; g < count; ++g) {
    const uint32_t bits = SelectedBits(words, count_of_words, groups[g].position);
    for (int lane = 0; lane < kGroupPositions; ++lane) {
      if ((bits >> lane & 1) == 0) row[g * kGroupPositions + lane] = kMinusInfinity;
    }
  }
}

// Turns a row of scores into 2^(score - max), and returns max and sum.
void Softmax(const AttentionTile& tile, int tile_row, const AttentionGroup* groups, int count,
             float* row, float* max, float* sum) {
  const int64_t first_key = FirstKey(tile, tile_row);
  const int64_t end_key = EndKey(tile, tile_row);
  const float softcap = tile.softcap;
  if (softcap > 0) {
    for (int j = 0; j < count * kGroupPositions; j += kWidth)
      Simd::Store(row + j, Softcap(Simd::Load(row + j), softcap));
  }
  if (tile.selected != nullptr) {
    DropUnselected(tile.selected + tile_row * tile.selected_stride, tile.selected_words, groups,
                   count, row);
  }
  const F minus_infinity = Simd::Broadcast(kMinusInfinity);
  F highest = minus_infinity;
  for (int g = 0; g < count; ++g) {
    const int64_t below_first = first_key - groups[g].position;
    const int64_t below_end = end_key - groups[g].position;
    const int first = below_first > kGroupPositions ? kGroupPositions
                      : below_first < 0             ? 0
                                                    : static_cast<int>(below_first);
    const int end = below_end > groups[g].size ? groups[g].size
                    : below_end < 0            ? 0
                                               : static_cast<int>(below_end);
    float* scores = row + g * kGroupPositions;
    for (int v = 0; v < kVectorsPerGroup; ++v) {
      F x = Simd::Load(scores + v * kWidth);
      if (first > 0 || end < kGroupPositions) {
        x = Simd::KeepLanes(x, first - v * kWidth, end - v * kWidth, minus_infinity);
        Simd::Store(scores + v * kWidth, x);
      }
      highest = Simd::Max(highest, x);
    }
  }
  *max = Simd::Maximum(highest);
  // A row that sees nothing here has no maximum to subtract: -inf - 0 makes its probabilities 0.
  const F shift = Simd::Broadcast(*max == kMinusInfinity ? 0.0f : *max);
  F total = Simd::Zero();
  for (int j = 0; j < count * kGroupPositions; j += kWidth) {
    const F p = Simd::Exp2(Simd::Load(row + j) - shift, kExp2Polynomial);
    total = total + p;
    Simd::Store(row + j, p);
  }
  *sum = Simd::Sum(total);
}

// out[r][dims] of N vectors of dimensions, over the positions below end_key.
template <class Lanes, int R, int N, bool kFetch, bool kWhole>
void ValueVectors(const AttentionTile& tile, const AttentionGroup* groups, int count, int v,
                  int64_t end_key, const float* probabilities, float* out) {
  F sum[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sum[r][n] = Simd::Zero();
  }
  const int64_t row_bytes = int64_t{tile.value_dims} * kLaneBytes;
  for (int g = 0; g < count; ++g) {
    const uint8_t* values = groups[g].values + v * kWidth * kLaneBytes;
    const float* left = probabilities + g * kGroupPositions;
    const int64_t seen = end_key - groups[g].position;
    const int positions = seen < groups[g].size ? static_cast<int>(seen) : groups[g].size;
    const int steps = positions / Lanes::kPair;
    for (int i = 0; i < steps; ++i) {
      if constexpr (kFetch) {
#pragma GCC unroll 8
        for (int n = 0; n < N; n += kVectorsPerGroup) {
          Fetch(groups[g].next_keys + i * row_bytes + (v + n) * kWidth * kLaneBytes);
        }
      }
      F right[N];
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n)
        right[n] = Simd::Load(values + i * row_bytes + n * kWidth * kLaneBytes);
      Lanes::template Add<R, N>(right, left + i * Lanes::kPair, kScoreStride, sum);
    }
    if (steps * Lanes::kPair < positions) {
      // The other half of this pair is not the sequence's: left over from another one, it may be
      // NaN. The last of an odd number of lanes has none.
      const bool unpaired = !kWhole && positions == groups[g].size;
      F right[N];
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        const int64_t at = steps * row_bytes;
        right[n] = unpaired ? Simd::LoadFirsts(groups[g].values + at + (v + n) * kWidth * 2)
                            : Simd::DropSecond(Simd::Load(values + at + n * kWidth * kLaneBytes));
      }
      Lanes::template Add<R, N>(right, left + steps * Lanes::kPair, kScoreStride, sum);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n)
      Simd::Store(out + int64_t{r} * tile.value_dims + (v + n) * kWidth, sum[r][n]);
  }
}

// The same of values that are inside keys, whose lanes are positions: sums go across them.
template <class Lanes, int R, bool kFetch>
void ValuesInsideKeys(const AttentionTile& tile, const AttentionGroup* groups, int count,
                      int64_t end_key, const float* probabilities, float* out) {
  const int rows = (tile.values_inside + Lanes::kPair - 1) / Lanes::kPair;
  for (int i = 0; i < rows; ++i) {
    F sum[R][Lanes::kPair];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      for (int n = 0; n < Lanes::kPair; ++n) sum[r][n] = Simd::Zero();
    }
    for (int g = 0; g < count; ++g) {
      const int64_t row = int64_t{i} * groups[g].size * kLaneBytes;
      const int64_t seen = end_key - groups[g].position;
      const int positions = seen < groups[g].size ? static_cast<int>(seen) : groups[g].size;
      if constexpr (kFetch) Fetch(groups[g].next_keys + row);
      for (int v = 0; v < kVectorsPerGroup; ++v) {
        F right = Simd::Load(groups[g].keys + row + v * kWidth * kLaneBytes);
        // Lanes that are not the sequence's may hold anything, NaN too.
        if (positions < (v + 1) * kWidth)
          right = Simd::KeepLanes(right, 0, positions - v * kWidth, Simd::Zero());
        Lanes::template AddEach<R>(right, probabilities + g * kGroupPositions + v * kWidth,
                                   kScoreStride, sum);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      for (int n = 0; n < Lanes::kPair; ++n)
        out[int64_t{r} * tile.value_dims + i * Lanes::kPair + n] = Simd::Sum(sum[r][n]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int d = rows * Lanes::kPair; d < tile.value_dims; ++d)
      out[int64_t{r} * tile.value_dims + d] = 0;
  }
}

// Vectors [at, at + R) of the tile.
template <class Lanes, int R, int N, bool kFetch, bool kWhole>
void SegmentRows(const AttentionTile& tile, const float* packed, const AttentionGroup* groups,
                 int count, int at, float* scores, const AttentionState& part) {
  const int64_t first_key = FirstKey(tile, at / tile.group);
  const int64_t end_key = EndKey(tile, (at + R - 1) / tile.group);
  while (count > 0 && groups[0].position + groups[0].size <= first_key) {
    ++groups;
    --count;
  }
  while (count > 0 && groups[count - 1].position >= end_key) --count;

  const int64_t q_stride = (tile.head_dim + 1) / 2 * 2;
  const float* q = packed + at * q_stride;
  const int vectors = count * kVectorsPerGroup;
  int v = 0;
  for (; v + N <= vectors; v += N)
    ScoreVectors<Lanes, R, N, kFetch, kWhole>(tile, groups, v, q, q_stride, scores);
  for (; v < vectors; ++v)
    ScoreVectors<Lanes, R, 1, kFetch, kWhole>(tile, groups, v, q, q_stride, scores);

  for (int r = 0; r < R; ++r) {
    Softmax(tile, (at + r) / tile.group, groups, count, scores + r * kScoreStride,
            part.max + at + r, part.sum + at + r);
  }

  float* out = part.out + int64_t{at} * tile.value_dims;
  if (tile.values_inside > 0)
    return ValuesInsideKeys<Lanes, R, kFetch>(tile, groups, count, end_key, scores, out);
  const int value_vectors = tile.value_dims / kWidth;
  v = 0;
  for (; v + N <= value_vectors; v += N)
    ValueVectors<Lanes, R, N, kFetch, kWhole>(tile, groups, count, v, end_key, scores, out);
  for (; v < value_vectors; ++v)
    ValueVectors<Lanes, R, 1, kFetch, kWhole>(tile, groups, count, v, end_key, scores, out);
}

// The first register tile fetches what the others then find in the cache.
template <class Lanes, int R, int N, bool kWhole>
inline void NextRows(const AttentionTile& tile, const float* packed, const AttentionGroup* groups,
                     int count, int* at, float* scores, const AttentionState& part) {
  for (; *at + R <= tile.rows * tile.group; *at += R) {
    if (*at == 0) {
      SegmentRows<Lanes, R, N, true, kWhole>(tile, packed, groups, count, *at, scores, part);
    } else {
      SegmentRows<Lanes, R, N, false, kWhole>(tile, packed, groups, count, *at, scores, part);
    }
  }
}

template <class Lanes, bool kWhole>
void SegmentOf(const AttentionTile& tile, const float* packed, const AttentionGroup* groups,
               int count, float* scores, const AttentionState& part) {
  int at = 0;
  NextRows<Lanes, Simd::kTileRows, Simd::kTileVectors, kWhole>(tile, packed, groups, count, &at,
                                                               scores, part);
  NextRows<Lanes, 4, Simd::kTileVectorsOf4, kWhole>(tile, packed, groups, count, &at, scores, part);
  NextRows<Lanes, 2, 4, kWhole>(tile, packed, groups, count, &at, scores, part);
  NextRows<Lanes, 1, 4, kWhole>(tile, packed, groups, count, &at, scores, part);
}

template <class Lanes>
void Segment(const AttentionTile& tile, const float* packed, const AttentionGroup* groups,
             int count, float* scores, const AttentionState& part) {
  const auto segment = tile.whole_groups ? SegmentOf<Lanes, true> : SegmentOf<Lanes, false>;
  segment(tile, packed, groups, count, scores, part);
}

// 2^(x - max), where -inf stands for nothing yet.
float Weight(float x, float max) {
  float lanes[kWidth];
  Simd::Store(lanes,
              Simd::Exp2(Simd::Broadcast(x == kMinusInfinity ? x : x - max), kExp2Polynomial));
  return lanes[0];
}

void Merge(const AttentionTile& tile, const AttentionState& part, const AttentionState& total) {
  const int dims = tile.value_dims;
  for (int v = 0; v < tile.rows * tile.group; ++v) {
    const float max = total.max[v] > part.max[v] ? total.max[v] : part.max[v];
    const float old_weight = Weight(total.max[v], max);
    const float new_weight = Weight(part.max[v], max);
    total.max[v] = max;
    total.sum[v] = total.sum[v] * old_weight + part.sum[v] * new_weight;
    float* out = total.out + int64_t{v} * dims;
    const float* added = part.out + int64_t{v} * dims;
    for (int d = 0; d < dims; d += kWidth) {
      const F sum = Simd::Load(out + d) * Simd::Broadcast(old_weight);
      Simd::Store(out + d, Simd::Fma(Simd::Load(added + d), Simd::Broadcast(new_weight), sum));
    }
  }
}

// Adds what R heads from `at` on find in the keys.
template <class Lanes, int R, int N, bool kWhole>
void AddHeads(const AttentionTile& tile, const float* packed, const float* weights, int at,
              const AttentionGroup* groups, int count, float* scores, float* sums) {
  const int64_t q_stride = (tile.head_dim + 1) / 2 * 2;
  const float* const q = packed + at * q_stride;
  const int vectors = count * kVectorsPerGroup;
  int v = 0;
  for (; v + N <= vectors; v += N)
    ScoreVectors<Lanes, R, N, false, kWhole>(tile, groups, v, q, q_stride, scores);
  for (; v < vectors; ++v)
    ScoreVectors<Lanes, R, 1, false, kWhole>(tile, groups, v, q, q_stride, scores);
  for (int j = 0; j < count * kGroupPositions; j += kWidth) {
    F sum = Simd::Load(sums + j);
    for (int r = 0; r < R; ++r) {
      const F product = Simd::Load(scores + r * kScoreStride + j);
      sum = weights == nullptr ? product
                               : Simd::Fma(Simd::Broadcast(weights[at + r]),
                                           Simd::Max(Simd::Zero(), product), sum);
    }
    Simd::Store(sums + j, sum);
  }
}

template <class Lanes, bool kWhole>
void IndexOf(const AttentionTile& tile, const float* packed, const float* weights,
             const AttentionGroup* groups, int count, float* scores, float* sums) {
  for (int j = 0; j < count * kGroupPositions; j += kWidth) Simd::Store(sums + j, Simd::Zero());
  int at = 0;
  for (; at + 4 <= tile.group; at += 4) {
    AddHeads<Lanes, 4, Simd::kTileVectorsOf4, kWhole>(tile, packed, weights, at, groups, count,
                                                      scores, sums);
  }
  for (; at < tile.group; ++at)
    AddHeads<Lanes, 1, 4, kWhole>(tile, packed, weights, at, groups, count, scores, sums);
}

template <class Lanes>
void Index(const AttentionTile& tile, const float* packed, const float* weights,
           const AttentionGroup* groups, int count, float* scores, float* sums) {
  const auto index = tile.whole_groups ? IndexOf<Lanes, true> : IndexOf<Lanes, false>;
  index(tile, packed, weights, groups, count, scores, sums);
}

template <class Lanes>
constexpr AttentionKernel kAttentionKernel = {Segment<Lanes>, Index<Lanes>, Merge};

}  // namespace
}  // namespace conclave
