#pragma once

// AttentionKernel for the `Simd` of the including file. Both products are one register tile: R rows of the left operand
// against N vectors of the right one, whose rows are lanes of positions (scores) or of dimensions (values).

#include <cstdint>
#include <cstring>

#include "kernels/cpu/attention_kernel.h"
#include "src/exponential.h"

namespace conclave {
namespace {

using F = Simd::F;
constexpr int kWidth = Simd::kWidth;
constexpr int kVectorsPerGroup = kGroupPositions / kWidth;
constexpr float kMinusInfinity = -__builtin_inff();

// How a lane of the right operand meets the left one. kLeft: f32 of the left operand per lane.
struct F32Lanes {
  static constexpr int kPair = 1;
  static constexpr int kLeft = 1;
  template <int R, int N>
  static inline __attribute__((always_inline)) void Add(const F (&right)[N], const float* left, int64_t stride, F (&sum)[R][N]) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const F x = Simd::Broadcast(left[r * stride]);
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) sum[r][n] = Simd::Fma(x, right[n], sum[r][n]);
    }
  }
  static void StoreLeft(float* row, int at, F x) { Simd::Store(row + at, x); }
  static void Pack(const AttentionTile& tile, float* packed) {
    const int head_dim = tile.head_dim;
    const int padded = (head_dim + 1) / 2 * 2;
    const float scale = tile.scale * 1.44269504f;
    for (int v = 0; v < tile.rows * tile.group; ++v) {
      const float* q = tile.q + v / tile.group * tile.row_stride + int64_t{v % tile.group} * head_dim;
      float* row = packed + int64_t{v} * padded;
      for (int d = 0; d < head_dim; ++d) row[d] = q[d] * scale;
      if (padded > head_dim) row[head_dim] = 0;
    }
  }
};

struct Bf16Lanes {
  static constexpr int kPair = 2;
  static constexpr int kLeft = 2;
  template <int R, int N>
  static inline __attribute__((always_inline)) void Add(const F (&right)[N], const float* left, int64_t stride, F (&sum)[R][N]) {
    F half[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) half[n] = Simd::FirstOfPair(right[n]);
    F32Lanes::Add<R, N>(half, left, stride, sum);
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) half[n] = Simd::SecondOfPair(right[n]);
    F32Lanes::Add<R, N>(half, left + 1, stride, sum);
  }
  static void StoreLeft(float* row, int at, F x) { Simd::Store(row + at, x); }
  static void Pack(const AttentionTile& tile, float* packed) { F32Lanes::Pack(tile, packed); }
};

int64_t FirstKey(const AttentionTile& tile, int row) {
  const int64_t first = tile.first_position + row + 1 - tile.window;
  return tile.window > 0 && first > 0 ? first : 0;
}

int64_t EndKey(const AttentionTile& tile, int row) { return tile.first_position + row + 1; }

// scores[r][16 g + lane] of vectors [v, v + N), counted over all groups.
template <class Lanes, int R, int N>
void ScoreVectors(const AttentionTile& tile, const AttentionGroup* groups, int v, const float* q, int64_t q_stride,
                  float* scores) {
  const uint8_t* keys[N];
  for (int n = 0; n < N; ++n) {
    keys[n] = groups[(v + n) / kVectorsPerGroup].keys + (v + n) % kVectorsPerGroup * kWidth * kLaneBytes;
  }
  F sum[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sum[r][n] = Simd::Zero();
  }
  const int64_t steps = tile.key_bytes / (kGroupPositions * kLaneBytes);
  for (int64_t i = 0; i < steps; ++i) {
    F right[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) right[n] = Simd::LoadLanes(keys[n] + i * (kGroupPositions * kLaneBytes));
    Lanes::template Add<R, N>(right, q + i * Lanes::kLeft, q_stride, sum);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) Simd::Store(scores + r * kScoreStride + (v + n) * kWidth, sum[r][n]);
  }
}

// Turns a row of scores into 2^(score - max), in the form of a left operand, and returns max and sum.
template <class Lanes>
void Softmax(const AttentionGroup* groups, int count, int64_t first_key, int64_t end_key, float* row, float* max, float* sum) {
  const F minus_infinity = Simd::Broadcast(kMinusInfinity);
  F highest = minus_infinity;
  for (int g = 0; g < count; ++g) {
    const int64_t below_first = first_key - groups[g].position;
    const int64_t below_end = end_key - groups[g].position;
    const int first = below_first > kGroupPositions ? kGroupPositions : below_first < 0 ? 0 : static_cast<int>(below_first);
    const int end = below_end > groups[g].size ? groups[g].size : below_end < 0 ? 0 : static_cast<int>(below_end);
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
    Lanes::StoreLeft(row, j, p);
  }
  *sum = Simd::Sum(total);
}

// out[r][dims] of N vectors of dimensions, over the positions below end_key.
template <class Lanes, int R, int N>
void ValueVectors(const AttentionTile& tile, const AttentionGroup* groups, int count, int v, int64_t end_key,
                  const float* probabilities, float* out) {
  F sum[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sum[r][n] = Simd::Zero();
  }
  const int64_t row_bytes = int64_t{tile.value_dims} * kLaneBytes;
  constexpr int kLeftPerGroup = kGroupPositions / Lanes::kPair * Lanes::kLeft;
  for (int g = 0; g < count; ++g) {
    const uint8_t* values = groups[g].keys + tile.key_bytes + v * kWidth * kLaneBytes;
    const float* left = probabilities + g * kLeftPerGroup;
    const int64_t seen = end_key - groups[g].position;
    const int positions = seen < groups[g].size ? static_cast<int>(seen) : groups[g].size;
    const int steps = positions / Lanes::kPair;
    for (int i = 0; i < steps; ++i) {
      F right[N];
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) right[n] = Simd::LoadLanes(values + i * row_bytes + n * kWidth * kLaneBytes);
      Lanes::template Add<R, N>(right, left + i * Lanes::kLeft, kScoreStride, sum);
    }
    if (steps * Lanes::kPair < positions) {
      // The other half of this pair is not the sequence's: left over from another one, it may be NaN.
      F right[N];
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        right[n] = Simd::DropSecond(Simd::LoadLanes(values + steps * row_bytes + n * kWidth * kLaneBytes));
      }
      Lanes::template Add<R, N>(right, left + steps * Lanes::kLeft, kScoreStride, sum);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) Simd::Store(out + int64_t{r} * tile.value_dims + (v + n) * kWidth, sum[r][n]);
  }
}

// Vectors [at, at + R) of the tile.
template <class Lanes, int R, int N>
void SegmentRows(const AttentionTile& tile, const float* packed, const AttentionGroup* groups, int count, int at,
                 float* scores, const AttentionState& part) {
  const int64_t first_key = FirstKey(tile, at / tile.group);
  const int64_t end_key = EndKey(tile, (at + R - 1) / tile.group);
  while (count > 0 && groups[0].position + groups[0].size <= first_key) {
    ++groups;
    --count;
  }
  while (count > 0 && groups[count - 1].position >= end_key) --count;

  const int64_t q_stride = (tile.head_dim + 1) / 2 * (Lanes::kLeft * 2 / Lanes::kPair);
  const float* q = packed + at * q_stride;
  const int vectors = count * kVectorsPerGroup;
  int v = 0;
  for (; v + N <= vectors; v += N) ScoreVectors<Lanes, R, N>(tile, groups, v, q, q_stride, scores);
  for (; v < vectors; ++v) ScoreVectors<Lanes, R, 1>(tile, groups, v, q, q_stride, scores);

  for (int r = 0; r < R; ++r) {
    const int row = (at + r) / tile.group;
    Softmax<Lanes>(groups, count, FirstKey(tile, row), EndKey(tile, row), scores + r * kScoreStride, part.max + at + r,
                   part.sum + at + r);
  }

  float* out = part.out + int64_t{at} * tile.value_dims;
  const int value_vectors = tile.value_dims / kWidth;
  v = 0;
  for (; v + N <= value_vectors; v += N) ValueVectors<Lanes, R, N>(tile, groups, count, v, end_key, scores, out);
  for (; v < value_vectors; ++v) ValueVectors<Lanes, R, 1>(tile, groups, count, v, end_key, scores, out);
}

template <class Lanes>
void Segment(const AttentionTile& tile, const float* packed, const AttentionGroup* groups, int count, float* scores,
             const AttentionState& part) {
  constexpr const int(&kVectors)[4] = Simd::kTileVectors;
  const int vectors = tile.rows * tile.group;
  int at = 0;
  if constexpr (kVectors[3] > 0) {
    for (; at + 8 <= vectors; at += 8) SegmentRows<Lanes, 8, kVectors[3]>(tile, packed, groups, count, at, scores, part);
  }
  for (; at + 4 <= vectors; at += 4) SegmentRows<Lanes, 4, kVectors[2]>(tile, packed, groups, count, at, scores, part);
  for (; at + 2 <= vectors; at += 2) SegmentRows<Lanes, 2, kVectors[1]>(tile, packed, groups, count, at, scores, part);
  for (; at < vectors; ++at) SegmentRows<Lanes, 1, kVectors[0]>(tile, packed, groups, count, at, scores, part);
}

// 2^(x - max), where -inf stands for nothing yet.
float Weight(float x, float max) {
  float lanes[kWidth];
  Simd::Store(lanes, Simd::Exp2(Simd::Broadcast(x == kMinusInfinity ? x : x - max), kExp2Polynomial));
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

void Finish(const AttentionTile& tile, const AttentionState& total, float* output) {
  const int head_dim = tile.head_dim;
  for (int v = 0; v < tile.rows * tile.group; ++v) {
    const float* out = total.out + int64_t{v} * tile.value_dims;
    float* row = output + v / tile.group * tile.row_stride + int64_t{v % tile.group} * head_dim;
    const float sum = total.sum[v];
    for (int d = 0; d < head_dim; ++d) row[d] = out[d] / sum;
  }
}

template <class Lanes>
constexpr AttentionKernel kAttentionKernel = {Lanes::Pack, Segment<Lanes>, Merge, Finish};

}  // namespace
}  // namespace conclave
