#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include "conclave/base/buffer.h"
#include "conclave/engine/stage.h"

namespace conclave {

// A step on its way through the layers.
struct Stage::MicroBatch {
  int64_t id = 0;
  StepBatch batch;
  std::shared_ptr<const ExpertRoutes> routes;
  int layer = 0;
  LayerOperator op = LayerOperator::kAttention;
  bool waiting = false;          // a dispatch is delivered and not yet answered
  std::vector<int32_t> answers;  // [rows]; partial sums that each row waits for
  std::exception_ptr failure;    // of the local shards, while waiting
  Buffer<float> residual;        // [rows, H]
  Buffer<float> normalized;      // [rows, H]; the operator's input
  Buffer<float> sum;             // [rows, H]; the operator's output, where one shard makes it
  bool exact = false;            // several shards do: the output is totals on the rows' grid
  std::vector<int32_t> grid;     // [rows]; see exact_sum.h
  Buffer<double> totals;         // [rows, H]
};

}  // namespace conclave
