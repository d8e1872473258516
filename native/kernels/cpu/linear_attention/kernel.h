#pragma once

#include <cstdint>

namespace conclave {

// One value head of LinearAttend, through rows that follow each other. Pointers are to the first
// row; strides are in elements.
struct HeadRows {
  const float* q;  // [key_dim] a row
  const float* k;
  int64_t key_stride;
  const float* v;  // [value_dim] a row
  int64_t value_stride;
  const float* decay;  // [1] or [key_dim] a row
  int64_t decay_stride;
  int64_t decay_step;  // 0: one decay for all of the key's elements; 1: one for each
  const float* write;  // [1] a row
  int64_t write_stride;
  bool delta;
  int64_t rows;
  int64_t key_dim;
  int64_t value_dim;
  float* state;   // [key_dim, value_dim]
  float* output;  // as v
};

using LinearAttentionKernel = void(const HeadRows&);

LinearAttentionKernel LinearAttentionPortable;
LinearAttentionKernel LinearAttentionAvx2;
LinearAttentionKernel LinearAttentionAvx512;

}  // namespace conclave
