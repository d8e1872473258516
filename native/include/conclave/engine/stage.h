#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "conclave/engine/dispatch.h"
#include "conclave/engine/expert_bank.h"
#include "conclave/engine/expert_route.h"
#include "conclave/engine/layer_slice.h"
#include "conclave/engine/operators/gate.h"
#include "conclave/engine/output_head.h"
#include "conclave/engine/profile.h"
#include "conclave/engine/step.h"

namespace conclave {

// StageOptions in native.ts.
struct StageOptions {
  RankSlice slice;
  CacheOptions cache;
  std::vector<int32_t> rank_targets;
  ActivationType dispatch_type = ActivationType::kBF16;
};

// Stage in native.ts: the owner of the residual stream for a range of layers. Begin, Resume and
// Abort run on the executor, the rest on any thread.
class Stage {
 public:
  // Receives the result of a Begin or Resume, once. A dispatch is delivered before the layer's
  // local shards run.
  using Deliver = std::function<void(StepProgress)>;

  Stage(std::shared_ptr<Backend> backend, std::shared_ptr<const WeightStore> store,
        std::shared_ptr<ExpertBank> bank, StageOptions options, LoadMonitor& monitor);
  ~Stage();

  // Throws what makes the micro-batch fail; once a dispatch is delivered, the next Resume throws
  // it. `stopping` ends the work between layers with kClosed.
  void Begin(StepBatch batch, std::shared_ptr<const ExpertRoutes> routes,
             const std::atomic<bool>& stopping, const Deliver& deliver);
  // A refused set of partial sums (kInvalidArgument, kNonFinite) leaves the step as it was.
  void Resume(int64_t step, std::span<const PartialSum> partials, const std::atomic<bool>& stopping,
              const Deliver& deliver);
  void Abort(int64_t step);

  void SetRoute(int layer, ExpertRoute route);
  // The routes of a micro-batch that begins now.
  std::shared_ptr<const ExpertRoutes> routes() const;
  // Rows per expert since the last call, by layer of the stage; empty for a dense layer.
  std::vector<std::vector<uint32_t>> TakeExpertRows();
  Profile& profile() { return profile_; }

  bool has_first_layer() const { return options_.slice.first_layer == 0; }
  bool has_last_layer() const;
  bool reads_tokens() const { return reads_tokens_; }
  uint64_t weight_bytes() const { return weight_bytes_; }
  uint64_t cache_bytes() const { return cache_bytes_; }

 private:
  struct Block;
  struct Layer;
  struct MicroBatch;

  void Load(LoadMonitor& monitor);
  void Check(const StepBatch& batch) const;
  void CheckTokens(const StepBatch& batch) const;
  // Every stream of the residual begins with the embedding.
  void Embed(MicroBatch& step);
  void Enter(MicroBatch& step);
  void Advance(MicroBatch& step, const std::atomic<bool>& stopping, const Deliver& deliver);
  // Runs the block, or what is left of it; false when the answers of other shards are to come.
  bool RunBlock(MicroBatch& step, const Deliver& deliver);
  // Run the operators up to their local sum; false when the answers of other shards are to come.
  bool RunAttention(MicroBatch& step, const Deliver& deliver);
  bool RunFfn(MicroBatch& step, const Deliver& deliver);
  RoutedEntries Route(MicroBatch& step);
  void RunLocalFfn(MicroBatch& step, const RoutedEntries& routed);
  // Adds the rows themselves, by their weights.
  void AddIdentities(MicroBatch& step, std::span<const float> weights);
  // Delivers dispatches of the operators' input to the ranks, and to those that have the experts.
  void Await(MicroBatch& step, LayerOperator op, std::span<const int32_t> ranks,
             const RoutedEntries& routed, const Deliver& deliver);
  // Adds the sum to the residual stream and moves on to the next block.
  void Complete(MicroBatch& step);
  StepProgress Finish(MicroBatch& step);
  // Runs `work`; its error ends the step unless a dispatch has been delivered, then it waits for
  // Resume.
  template <typename Work>
  void Guard(MicroBatch& step, const Work& work);
  void Retire(MicroBatch& step);
  // Also finds the rows' grid where the block's sum is an exact one.
  void Normalize(MicroBatch& step);
  Layer& LayerOf(const MicroBatch& step);
  Block& BlockOf(const MicroBatch& step);

  std::shared_ptr<Backend> backend_;
  std::shared_ptr<const WeightStore> store_;
  std::shared_ptr<ExpertBank> bank_;
  StageOptions options_;
  int64_t hidden_;
  bool reads_tokens_ = false;  // to embed them, or for a gate
  int streams_;                // of the residual
  bool has_aside_ = false;     // a block's result waits for another one
  bool has_token_input_ = false;
  int64_t stream_weights_ = 0;  // of a row, at most
  int64_t narrow_width_ = 0;    // widest rows of experts that have a width of their own; 0: none
  std::vector<std::unique_ptr<Layer>> layers_;
  EmbeddingPtr embedding_;          // of the first stage
  std::optional<OutputHead> head_;  // of the last
  uint64_t weight_bytes_ = 0;
  uint64_t cache_bytes_ = 0;

  // Executor only.
  std::map<int64_t, std::unique_ptr<MicroBatch>> steps_;
  std::vector<std::unique_ptr<MicroBatch>> idle_;  // their memory is used again
  int64_t next_step_ = 1;
  std::vector<int32_t> gate_ids_;
  std::vector<float> gate_weights_;

  Profile profile_;
  mutable std::mutex mutex_;  // guards routes_ and expert_rows_
  std::shared_ptr<const ExpertRoutes> routes_;
  std::vector<std::vector<uint32_t>> expert_rows_;
};

}  // namespace conclave
