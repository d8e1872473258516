#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "conclave/engine/operators/mixer.h"
#include "conclave/engine/stage.h"

namespace conclave {

// What is left of a block: this and what follows.
enum class BlockPart { kNorm, kMixer, kFfn, kSum };

// A step on its way through the layers.
struct Stage::MicroBatch {
  explicit MicroBatch(Backend& backend) : arena(backend) {}

  int64_t id = 0;
  StepBatch batch;
  std::shared_ptr<const ExpertRoutes> routes;
  int layer = 0;
  size_t block = 0;  // of the layer
  BlockPart next = BlockPart::kNorm;
  bool waiting = false;             // a dispatch is delivered and not yet answered
  std::vector<int32_t> answers;     // [rows]; partial sums that each row waits for
  std::exception_ptr failure;       // of the local shards, while waiting
  Arena arena;                      // of what follows
  std::unique_ptr<StepRows> where;  // of the batch
  std::optional<MixerStep> mixers;  // of `where`
  Tensor residual;                  // [rows, streams * H]
  Tensor mixed;                     // [rows, H]; what a block reads of several streams
  Tensor stream_weights;            // [rows, ...]; by which it read them
  Tensor normalized;                // [rows, H]; the operators' input
  Tensor sum;                       // [rows, H]; their sum, where one shard makes it
  Tensor aside;                     // [rows, H]; what a block gave that another one adds
  Tensor embedded;                  // [rows, H]; what the first layer read
  Tensor narrow;                    // [rows, width of the experts], where they have their own
  bool exact = false;               // several shards do: the sum is totals on the rows' grid
  Grid grid;                        // [rows, 1]; see exact_sum.h
  Totals totals;                    // [rows, H], or [rows, width of the experts]
};

}  // namespace conclave
