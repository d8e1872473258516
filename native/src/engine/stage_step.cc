// A micro-batch's way through the layers of a stage.

#include <algorithm>

#include "conclave/base/message.h"
#include "micro_batch.h"
#include "stage_layer.h"

namespace conclave {

void Stage::Enter(MicroBatch& step) {
  const Profile::Span span(profile_, ProfilePart::kEmbedding);
  const int64_t rows = step.batch.rows();
  step.arena.Reset();
  step.residual = step.arena.Rows(rows, streams_ * hidden_);
  if (streams_ > 1) {
    step.mixed = step.arena.Rows(rows, hidden_);
    step.stream_weights = step.arena.Rows(rows, stream_weights_);
  }
  step.normalized = step.arena.Rows(rows, hidden_);
  step.sum = step.arena.Rows(rows, hidden_);
  if (has_aside_) step.aside = step.arena.Rows(rows, hidden_);
  if (narrow_width_ > 0) step.narrow = step.arena.Rows(rows, narrow_width_);
  step.grid = step.arena.Take<int32_t>(rows, 1);
  step.totals = step.arena.Take<double>(rows, std::max(hidden_, narrow_width_));
  step.where = backend_->Place(step.batch.where.view());
  step.mixers.emplace(*step.where, step.arena);
  if (step.batch.hidden) {
    backend_->Upload(ActivationType::kF32, *step.batch.hidden, step.residual);
    step.batch.hidden.reset();
  } else {
    Embed(step);
  }
  if (has_token_input_) {
    step.embedded = step.arena.Rows(rows, hidden_);
    backend_->Copy(step.residual, step.embedded);
  }
}

void Stage::Embed(MicroBatch& step) {
  const Tensor& rows = streams_ > 1 ? step.mixed : step.residual;
  backend_->Embed(*embedding_, step.batch.token_ids, store_->spec().embedding_multiplier, rows);
  if (streams_ == 1) return;
  std::vector<int32_t> sources;
  for (int64_t i = 0; i < rows.rows * streams_; ++i)
    sources.push_back(static_cast<int32_t>(i / streams_));
  backend_->Gather(rows, sources, step.residual.Reshape(hidden_));
}

void Stage::Advance(MicroBatch& step, const std::atomic<bool>& stopping, const Deliver& deliver) {
  while (step.layer < options_.slice.end_layer) {
    if (stopping) Fail(ErrorCode::kClosed, "the runtime is closed");
    if (!RunBlock(step, deliver)) return;
  }
  StepProgress progress = Finish(step);
  Retire(step);
  deliver(std::move(progress));
}

bool Stage::RunBlock(MicroBatch& step, const Deliver& deliver) {
  const Block& block = BlockOf(step);
  if (step.next == BlockPart::kNorm) {
    step.exact = block.exact(!options_.rank_targets.empty());
    Normalize(step);
    step.totals.width = block.projection ? block.projection->width() : hidden_;
    if (step.exact) backend_->Clear(step.totals);
    step.next = BlockPart::kMixer;
    if (block.token_input) {
      block.token_input->Forward(*backend_, step.batch.token_ids, step.embedded, step.normalized,
                                 step.sum);
    }
  }
  if (step.next == BlockPart::kMixer) {
    step.next = BlockPart::kFfn;
    if (block.slice.mixer && !RunAttention(step, deliver)) return false;
  }
  if (step.next == BlockPart::kFfn) {
    step.next = BlockPart::kSum;
    if (block.has_ffn() && !RunFfn(step, deliver)) return false;
  }
  Complete(step);
  return true;
}

void Stage::Normalize(MicroBatch& step) {
  const Profile::Span span(profile_, ProfilePart::kNorm);
  const Block& block = BlockOf(step);
  const int bits = block.post_norm ? kPostNormGridBits : GridBits(store_->format());
  const GridOutput grid{step.grid, bits};
  if (block.mix) block.mix->Read(*backend_, step.residual, step.stream_weights, step.mixed);
  const Tensor& rows = block.mix ? step.mixed : step.residual;
  if (block.has_pre_norm || step.exact)
    block.norm.Forward(*backend_, rows, step.normalized, step.exact ? &grid : nullptr);
  if (!block.has_pre_norm) backend_->Copy(step.residual, step.normalized);
}

bool Stage::RunAttention(MicroBatch& step, const Deliver& deliver) {
  const bool remote = !options_.rank_targets.empty();
  if (remote) Await(step, LayerOperator::kAttention, options_.rank_targets, {}, deliver);
  const Profile::Span span(profile_, ProfilePart::kAttention);
  BlockOf(step).slice.mixer->Forward(*backend_, *step.mixers, step.normalized, step.sum);
  if (step.exact) backend_->AddTerms(step.sum, step.grid, step.totals);
  return !remote;
}

bool Stage::RunFfn(MicroBatch& step, const Deliver& deliver) {
  const Block& block = BlockOf(step);
  const std::span<const int32_t> ranks = block.has_dense
                                             ? std::span<const int32_t>(options_.rank_targets)
                                             : std::span<const int32_t>();
  const RoutedEntries routed = block.gate ? Route(step) : RoutedEntries();
  if (block.projection) {
    step.narrow.width = block.projection->width();
    block.projection->Narrow(*backend_, step.normalized, step.narrow, step.grid);
  }
  const bool remote = !ranks.empty() || !routed.remote.empty();
  if (remote) Await(step, LayerOperator::kFfn, ranks, routed, deliver);
  RunLocalFfn(step, routed);
  return !remote;
}

RoutedEntries Stage::Route(MicroBatch& step) {
  const Profile::Span span(profile_, ProfilePart::kGate);
  const ExpertGate& gate = *BlockOf(step).gate;
  gate.Forward(*backend_, step.normalized, step.residual, step.batch.token_ids, gate_ids_,
               gate_weights_);
  const size_t index = static_cast<size_t>(step.layer - options_.slice.first_layer);
  {
    const std::lock_guard lock(mutex_);
    for (const int32_t id : gate_ids_) {
      if (id < gate.experts()) ++expert_rows_[index][id];
    }
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
    if (!routed.identity.empty()) AddIdentities(step, routed.identity);
    const Tensor& input = block.projection ? step.narrow : step.normalized;
    // As dispatches carry the input, so that experts get the same rows anywhere.
    backend_->Round(input, options_.dispatch_type);
    bank_->Run(step.layer, routed.slices, routed.local, {input, step.grid}, step.totals);
  }
  if (block.slice.dense) backend_->AddTerms(step.sum, step.grid, step.totals);
}

void Stage::AddIdentities(MicroBatch& step, std::span<const float> weights) {
  Arena& arena = backend_->scratch();
  const Arena::Scope scope(arena);
  const Tensor factors = arena.Rows(step.batch.rows(), 1);
  backend_->Upload(ActivationType::kF32,
                   {reinterpret_cast<const uint8_t*>(weights.data()), weights.size_bytes()},
                   factors);
  const Tensor rows = arena.Rows(step.batch.rows(), hidden_);
  backend_->Copy(step.normalized, rows);
  backend_->Multiply(factors, rows);
  backend_->AddTerms(rows, step.grid, step.totals);
}

void Stage::Await(MicroBatch& step, LayerOperator op, std::span<const int32_t> ranks,
                  const RoutedEntries& routed, const Deliver& deliver) {
  const ActivationType type = options_.dispatch_type;
  const bool narrow = op == LayerOperator::kFfn && BlockOf(step).projection;
  const Tensor& sent = narrow ? step.narrow : step.normalized;
  std::vector<uint8_t> rows(static_cast<size_t>(sent.elements()) * ActivationBytes(type));
  std::vector<int32_t> grid(static_cast<size_t>(step.grid.rows));
  backend_->Download(sent, type, rows);
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
  const Block& block = BlockOf(step);
  const float multiplier = block.residual_multiplier;
  step.next = BlockPart::kNorm;
  if (step.exact && block.adds_sum()) {
    backend_->AddTotals(step.totals, step.grid, multiplier, step.residual);
  } else {
    if (block.projection) {
      backend_->TakeTotals(step.totals, step.grid, step.narrow);
      block.projection->Widen(*backend_, step.narrow, step.sum);
    } else if (step.exact) {
      backend_->TakeTotals(step.totals, step.grid, step.sum);
    }
    if (block.post_norm) block.post_norm->Forward(*backend_, step.sum, step.sum);
    if (block.join) backend_->AddScaled(step.aside, 1, step.sum);
    if (block.join_norm) block.join_norm->Forward(*backend_, step.sum, step.sum);
    if (block.mix) {
      block.mix->Write(*backend_, step.stream_weights, step.sum, step.residual);
    } else if (block.aside) {
      backend_->Copy(step.sum, step.aside);
    } else {
      backend_->AddScaled(step.sum, multiplier, step.residual);
    }
  }
  const Layer& layer = LayerOf(step);
  if (++step.block < layer.blocks.size()) return;
  if (layer.scale != 1) backend_->Scale(step.residual, layer.scale);
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
