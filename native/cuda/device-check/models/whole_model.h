#pragma once

#include <atomic>
#include <memory>

#include "conclave/engine/stage.h"

namespace conclave::device_check {

// A model on one backend, as a server with one process has it.
class WholeModel {
 public:
  WholeModel(const std::shared_ptr<Backend>& backend, const std::string& folder,
             const ModelSpec& spec, WeightsFormat weights, const CacheOptions& cache);

  StepOutput Run(StepBatch batch);
  const ModelSpec& spec() const { return store_->spec(); }
  Stage& stage() { return *stage_; }

 private:
  std::shared_ptr<const WeightStore> store_;
  std::unique_ptr<Stage> stage_;
  std::atomic<bool> stopping_ = false;
};

// Rows [begin, end) of a sequence of a step.
struct SequencePart {
  std::span<const int32_t> tokens;
  int32_t begin;
  int32_t end;
  std::span<const int32_t> blocks;
  int32_t slot = -1;  // of its state
  // The log-probability of the token after each row that has one is wanted; else the likeliest
  // token after the last row.
  bool scored;
};

void Append(const SequencePart& part, StepBatch* batch);

}  // namespace conclave::device_check
