// A micro-batch's way through the layers of a stage.

#include "conclave/base/message.h"
#include "micro_batch.h"
#include "stage_layer.h"

namespace conclave {

void Stage::Enter(MicroBatch& step) {
  const Profile::Span span(profile_, ProfilePart::kEmbedding);
  const int64_t rows = step.batch.rows();
  step.arena.Reset();
  step.residual = step.arena.Rows(rows, hidden_);
  step.normalized = step.arena.Rows(rows, hidden_);
  step.sum = step.arena.Rows(rows, hidden_);
  step.grid = step.arena.Take<int32_t>(rows, 1);
  step.totals = step.arena.Take<double>(rows, hidden_);
  step.where = backend_->Place(step.batch.where.view());
  if (step.batch.hidden) {
    backend_->Upload(ActivationType::kF32, *step.batch.hidden, step.residual);
    step.batch.hidden.reset();
  } else {
    backend_->Embed(*embedding_, step.batch.token_ids, store_->spec().embedding_multiplier,
                    step.residual);
  }
}

void Stage::Advance(MicroBatch& step, const std::atomic<bool>& stopping, const Deliver& deliver) {
  while (step.layer < options_.slice.end_layer) {
    if (stopping) Fail(ErrorCode::kClosed, "the runtime is closed");
    const bool done = BlockOf(step).op() == LayerOperator::kAttention ? RunAttention(step, deliver)
                                                                      : RunFfn(step, deliver);
    if (!done) return;
    Complete(step);
  }
  StepProgress progress = Finish(step);
  Retire(step);
  deliver(std::move(progress));
}

void Stage::Normalize(MicroBatch& step) {
  const Profile::Span span(profile_, ProfilePart::kNorm);
  const GridOutput grid{step.grid, GridBits(store_->format())};
  BlockOf(step).norm.Forward(*backend_, step.residual, step.normalized,
                             step.exact ? &grid : nullptr);
}

bool Stage::RunAttention(MicroBatch& step, const Deliver& deliver) {
  step.exact = !options_.rank_targets.empty();
  Normalize(step);
  if (step.exact) Await(step, options_.rank_targets, {}, deliver);
  const Profile::Span span(profile_, ProfilePart::kAttention);
  BlockOf(step).slice.mixer->Forward(*backend_, *step.where, step.normalized, step.sum);
  if (step.exact) {
    backend_->Clear(step.totals);
    backend_->AddTerms(step.sum, step.grid, step.totals);
  }
  return !step.exact;
}

bool Stage::RunFfn(MicroBatch& step, const Deliver& deliver) {
  const Block& block = BlockOf(step);
  const std::span<const int32_t> ranks = block.has_dense
                                             ? std::span<const int32_t>(options_.rank_targets)
                                             : std::span<const int32_t>();
  step.exact = block.gate || !ranks.empty();
  Normalize(step);
  const RoutedEntries routed = block.gate ? Route(step) : RoutedEntries();
  const bool remote = !ranks.empty() || !routed.remote.empty();
  if (remote) Await(step, ranks, routed, deliver);
  RunLocalFfn(step, routed);
  return !remote;
}

RoutedEntries Stage::Route(MicroBatch& step) {
  const Profile::Span span(profile_, ProfilePart::kGate);
  const ExpertGate& gate = *BlockOf(step).gate;
  gate.Forward(*backend_, step.normalized, gate_ids_, gate_weights_);
  const size_t index = static_cast<size_t>(step.layer - options_.slice.first_layer);
  {
    const std::lock_guard lock(mutex_);
    for (const int32_t id : gate_ids_) ++expert_rows_[index][id];
  }
  return RouteEntries(*(*step.routes)[index], gate.experts(), gate_ids_, gate_weights_,
                      step.batch.rows(), gate.top_k());
}

void Stage::RunLocalFfn(MicroBatch& step, const RoutedEntries& routed) {
  const Block& block = BlockOf(step);
  if (block.slice.dense) {
    const Profile::Span span(profile_, ProfilePart::kDense);
    block.slice.dense->Forward(*backend_, step.normalized, step.sum);
  }
  if (!step.exact) return;
  if (block.gate) {
    const Profile::Span span(profile_, ProfilePart::kExperts);
    // As dispatches carry the input, so that experts get the same rows anywhere.
    backend_->Round(step.normalized, options_.dispatch_type);
    bank_->Run(step.layer, routed.slices, routed.local, {step.normalized, step.grid}, step.totals);
  } else {
    backend_->Clear(step.totals);
  }
  if (block.slice.dense) backend_->AddTerms(step.sum, step.grid, step.totals);
}

void Stage::Await(MicroBatch& step, std::span<const int32_t> ranks, const RoutedEntries& routed,
                  const Deliver& deliver) {
  const LayerOperator op = BlockOf(step).op();
  const ActivationType type = options_.dispatch_type;
  std::vector<uint8_t> rows(static_cast<size_t>(step.normalized.elements()) *
                            ActivationBytes(type));
  std::vector<int32_t> grid(static_cast<size_t>(step.grid.rows));
  backend_->Download(step.normalized, type, rows);
  backend_->Download(step.grid, grid);
  backend_->Synchronise();
  const DispatchInput input{step.layer, step.batch.rows(), type, rows, grid};
  std::vector<Dispatch> dispatches =
      BuildDispatches(input, ranks, op == LayerOperator::kFfn, routed);
  step.answers = CountAnswers(dispatches, step.batch.rows());
  step.waiting = true;
  deliver(DispatchProgress{step.id, step.layer, op, std::move(dispatches)});
}

void Stage::Complete(MicroBatch& step) {
  const Profile::Span span(profile_, ProfilePart::kNorm);
  const float multiplier = BlockOf(step).residual_multiplier;
  if (step.exact) {
    backend_->AddTotals(step.totals, step.grid, multiplier, step.residual);
  } else {
    backend_->AddScaled(step.sum, multiplier, step.residual);
  }
  if (++step.block < LayerOf(step).blocks.size()) return;
  step.block = 0;
  ++step.layer;
}

StepProgress Stage::Finish(MicroBatch& step) {
  if (head_) return head_->Forward(*backend_, profile_, step.batch.logits, step.residual);
  HiddenProgress progress;
  progress.hidden.resize(static_cast<size_t>(step.residual.elements()) * sizeof(float));
  backend_->Download(step.residual, ActivationType::kF32, progress.hidden);
  backend_->Synchronise();
  return progress;
}

Stage::Layer& Stage::LayerOf(const MicroBatch& step) {
  return *layers_[step.layer - options_.slice.first_layer];
}

Stage::Block& Stage::BlockOf(const MicroBatch& step) { return LayerOf(step).blocks[step.block]; }

}  // namespace conclave
