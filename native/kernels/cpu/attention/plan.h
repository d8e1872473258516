#pragma once

// How attention of a batch is cut into tasks for threads.

#include <cstdint>
#include <vector>

#include "kernels/cpu/attention/batch.h"

namespace conclave {

// Rows [row, row + rows) of a sequence with one key/value head.
struct AttentionUnit {
  int64_t row;
  int rows;
  int sequence;
  int kv_head;
  int64_t first_segment;
  int64_t end_segment;
  int64_t cost;
  int64_t part;  // Where results of its segments stand in AttentionPlan::parts; -1: it is not cut.
};

// All segments of a unit, or one.
struct AttentionTask {
  int unit;
  int64_t segment;  // -1: all.
};

// f32 of the state of some query vectors: max, sum and value_dims each.
inline int64_t StateFloats(int64_t vectors, int value_dims) { return vectors * (2 + value_dims); }

// Reused from call to call, so that no memory is allocated once it has grown.
struct AttentionPlan {
  std::vector<AttentionUnit> units;  // The dearest first; those that are cut stand in front.
  std::vector<AttentionTask> tasks;
  std::vector<float> parts;
  int64_t cut_units = 0;

  void Make(const AttentionBatch& batch, int threads);
};

}  // namespace conclave
