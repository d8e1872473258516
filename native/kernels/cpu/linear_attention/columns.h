#pragma once

// LinearAttend over the `Simd` of the including file. A column of the state depends on no other, so
// a head goes through its rows column by column, as many at a time as fit into registers: the sums
// over the key's elements stay there, and the state is read twice and written once a row.

#include <cstdint>

#include "kernels/cpu/linear_attention/kernel.h"

namespace conclave {
namespace {

template <int kVectors>
void AttendColumns(const HeadRows& head, int64_t first) {
  using Float = Simd::Float;
  constexpr int64_t kWidth = Simd::kLanes;
  float* const state = head.state + first;
  for (int64_t row = 0; row < head.rows; ++row) {
    const float* const q = head.q + row * head.key_stride;
    const float* const k = head.k + row * head.key_stride;
    const float* const v = head.v + row * head.value_stride + first;
    const float* const decay = head.decay + row * head.decay_stride;
    const Float write = Simd::Broadcast(head.write[row * head.write_stride]);
    Float change[kVectors];
#pragma GCC unroll 8
    for (int c = 0; c < kVectors; ++c) change[c] = Simd::Load(v + c * kWidth);
    if (head.delta) {
      Float held[kVectors];
#pragma GCC unroll 8
      for (int c = 0; c < kVectors; ++c) held[c] = Simd::Zero();
      for (int64_t i = 0; i < head.key_dim; ++i) {
        const Float key = Simd::Broadcast(k[i] * decay[i * head.decay_step]);
        const float* const s = state + i * head.value_dim;
#pragma GCC unroll 8
        for (int c = 0; c < kVectors; ++c)
          held[c] = Simd::Fma(key, Simd::Load(s + c * kWidth), held[c]);
      }
#pragma GCC unroll 8
      for (int c = 0; c < kVectors; ++c) change[c] = change[c] - held[c];
    }
    Float sums[kVectors];
#pragma GCC unroll 8
    for (int c = 0; c < kVectors; ++c) {
      change[c] = change[c] * write;
      sums[c] = Simd::Zero();
    }
    for (int64_t i = 0; i < head.key_dim; ++i) {
      const Float kept = Simd::Broadcast(decay[i * head.decay_step]);
      const Float key = Simd::Broadcast(k[i]);
      const Float query = Simd::Broadcast(q[i]);
      float* const s = state + i * head.value_dim;
#pragma GCC unroll 8
      for (int c = 0; c < kVectors; ++c) {
        const Float next = Simd::Fma(key, change[c], kept * Simd::Load(s + c * kWidth));
        Simd::Store(s + c * kWidth, next);
        sums[c] = Simd::Fma(query, next, sums[c]);
      }
    }
    float* const output = head.output + row * head.value_stride + first;
#pragma GCC unroll 8
    for (int c = 0; c < kVectors; ++c) Simd::Store(output + c * kWidth, sums[c]);
  }
}

// The columns that fill no vector.
void AttendColumn(const HeadRows& head, int64_t column) {
  float* const state = head.state + column;
  for (int64_t row = 0; row < head.rows; ++row) {
    const float* const q = head.q + row * head.key_stride;
    const float* const k = head.k + row * head.key_stride;
    const float* const decay = head.decay + row * head.decay_stride;
    float change = head.v[row * head.value_stride + column];
    if (head.delta) {
      float held = 0;
      for (int64_t i = 0; i < head.key_dim; ++i)
        held += k[i] * decay[i * head.decay_step] * state[i * head.value_dim];
      change -= held;
    }
    change *= head.write[row * head.write_stride];
    float sum = 0;
    for (int64_t i = 0; i < head.key_dim; ++i) {
      float& s = state[i * head.value_dim];
      s = k[i] * change + decay[i * head.decay_step] * s;
      sum += q[i] * s;
    }
    head.output[row * head.value_stride + column] = sum;
  }
}

void AttendHead(const HeadRows& head) {
  constexpr int kVectors = 4;
  constexpr int64_t kWidth = Simd::kLanes;
  int64_t column = 0;
  for (; column + kVectors * kWidth <= head.value_dim; column += kVectors * kWidth)
    AttendColumns<kVectors>(head, column);
  for (; column + kWidth <= head.value_dim; column += kWidth) AttendColumns<1>(head, column);
  for (; column < head.value_dim; ++column) AttendColumn(head, column);
}

}  // namespace
}  // namespace conclave
