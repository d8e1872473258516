// A micro-batch's way through the layers of a stage.

#include <algorithm>
#include <cstring>

#include "conclave/base/message.h"
#include "conclave/base/parallel_rows.h"
#include "kernels/cpu/exact_sum/exact_sum.h"
#include "micro_batch.h"
#include "stage_layer.h"

namespace conclave {

void Stage::Enter(MicroBatch& step) {
  const Profile::Span span(profile_, ProfilePart::kEmbedding);
  const int64_t rows = step.batch.rows();
  float* x = step.residual.Reserve(rows * hidden_);
  step.normalized.Reserve(rows * hidden_);
  step.sum.Reserve(rows * hidden_);
  step.totals.Reserve(rows * hidden_);
  if (step.batch.hidden) {
    std::memcpy(x, step.batch.hidden->data(), step.batch.hidden->size());
    step.batch.hidden.reset();
    return;
  }
  const ModelSpec& spec = store_->spec();
  for (int64_t row = 0; row < rows; ++row) {
    embedding_->Row(step.batch.token_ids[row], x + row * hidden_);
  }
  if (spec.embedding_multiplier != 1) {
    for (int64_t i = 0; i < rows * hidden_; ++i) x[i] *= spec.embedding_multiplier;
  }
}

void Stage::Advance(MicroBatch& step, const std::atomic<bool>& stopping, const Deliver& deliver) {
  while (step.layer < options_.slice.end_layer) {
    if (stopping) Fail(ErrorCode::kClosed, "the runtime is closed");
    const bool done =
        step.op == LayerOperator::kAttention ? RunAttention(step, deliver) : RunFfn(step, deliver);
    if (!done) return;
    Complete(step);
  }
  StepProgress progress = Finish(step);
  Retire(step);
  deliver(std::move(progress));
}

void Stage::Normalize(const std::vector<float>& weight, float epsilon, MicroBatch& step) {
  const Profile::Span span(profile_, ProfilePart::kNorm);
  const float* x = step.residual.data();
  float* output = step.normalized.data();
  step.grid.resize(static_cast<size_t>(step.batch.rows()));
  const int bits = GridBits(store_->format());
  ParallelRows(compute_->pool, step.batch.rows(), hidden_, [&](int64_t first, int64_t end) {
    RmsNorm(compute_->isa, x + first * hidden_, weight.data(), epsilon, end - first, hidden_,
            hidden_, output + first * hidden_);
    if (step.exact) {
      FindGrid(compute_->isa, x + first * hidden_, epsilon, bits, end - first, hidden_,
               step.grid.data() + first);
    }
  });
}

bool Stage::RunAttention(MicroBatch& step, const Deliver& deliver) {
  Layer& layer = LayerOf(step);
  step.exact = !options_.rank_targets.empty();
  Normalize(layer.attention_norm, layer.attention_epsilon, step);
  if (step.exact) {
    const DispatchInput input{
        step.layer, step.batch.rows(), hidden_, step.normalized.data(), options_.dispatch_type,
        step.grid};
    Await(step, LayerOperator::kAttention, BuildDispatches(input, options_.rank_targets, false, {}),
          deliver);
  }
  const Profile::Span span(profile_, ProfilePart::kAttention);
  layer.slice.attention.Forward(*compute_, scratch_, step.batch.where.view(),
                                step.normalized.data(), step.sum.data());
  if (step.exact) {
    ClearTotals(*compute_, step.batch.rows(), hidden_, step.totals.data());
    AddTerms(*compute_, step.sum.data(), step.grid, hidden_, step.totals.data());
  }
  return !step.exact;
}

bool Stage::RunFfn(MicroBatch& step, const Deliver& deliver) {
  Layer& layer = LayerOf(step);
  const std::span<const int32_t> ranks = layer.has_dense
                                             ? std::span<const int32_t>(options_.rank_targets)
                                             : std::span<const int32_t>();
  step.exact = layer.gate || !ranks.empty();
  Normalize(layer.ffn_norm, layer.ffn_epsilon, step);
  const RoutedEntries routed = layer.gate ? Route(step) : RoutedEntries();
  const bool remote = !ranks.empty() || !routed.remote.empty();
  if (remote) {
    const DispatchInput input{
        step.layer, step.batch.rows(), hidden_, step.normalized.data(), options_.dispatch_type,
        step.grid};
    Await(step, LayerOperator::kFfn, BuildDispatches(input, ranks, true, routed), deliver);
  }
  RunLocalFfn(step, routed);
  return !remote;
}

RoutedEntries Stage::Route(MicroBatch& step) {
  const Profile::Span span(profile_, ProfilePart::kGate);
  const ExpertGate& gate = *LayerOf(step).gate;
  const int64_t rows = step.batch.rows();
  gate_ids_.resize(static_cast<size_t>(rows * gate.top_k()));
  gate_weights_.resize(gate_ids_.size());
  gate.Forward(*compute_, gate_logits_, step.normalized.data(), rows, gate_ids_.data(),
               gate_weights_.data());
  const size_t index = static_cast<size_t>(step.layer - options_.slice.first_layer);
  {
    const std::lock_guard lock(mutex_);
    for (const int32_t id : gate_ids_) ++expert_rows_[index][id];
  }
  return RouteEntries(*(*step.routes)[index], gate.experts(), gate_ids_, gate_weights_, rows,
                      gate.top_k());
}

void Stage::RunLocalFfn(MicroBatch& step, const RoutedEntries& routed) {
  Layer& layer = LayerOf(step);
  const int64_t rows = step.batch.rows();
  float* sum = step.sum.data();
  if (layer.slice.dense) {
    const Profile::Span span(profile_, ProfilePart::kDense);
    layer.slice.dense->Forward(*compute_, scratch_, step.normalized.data(), rows, hidden_, sum);
  }
  if (!step.exact) return;
  if (layer.gate) {
    const Profile::Span span(profile_, ProfilePart::kExperts);
    RoundInput(step);
    expert_sum_.Sort(routed.local, int64_t{layer.gate->experts()} * routed.slices);
    const auto experts = bank_->Acquire(step.layer, routed.slices, expert_sum_.used());
    std::vector<const FfnWeights*> weights;
    for (const auto& expert : experts) weights.push_back(&expert->weights);
    expert_sum_.Run(*compute_, weights, step.normalized.data(), step.grid, hidden_,
                    step.totals.data());
  } else {
    ClearTotals(*compute_, rows, hidden_, step.totals.data());
  }
  if (layer.slice.dense) AddTerms(*compute_, sum, step.grid, hidden_, step.totals.data());
}

void Stage::RoundInput(MicroBatch& step) {
  if (options_.dispatch_type == ActivationType::kF32) return;
  float* input = step.normalized.data();
  ParallelRows(compute_->pool, step.batch.rows(), hidden_, [&](int64_t first, int64_t end) {
    for (int64_t i = first * hidden_; i < end * hidden_; ++i) {
      input[i] = Bf16ToFloat(FloatToBf16(input[i]));
    }
  });
}

void Stage::Await(MicroBatch& step, LayerOperator op, std::vector<Dispatch> dispatches,
                  const Deliver& deliver) {
  step.answers = CountAnswers(dispatches, step.batch.rows());
  step.waiting = true;
  deliver(DispatchProgress{step.id, step.layer, op, std::move(dispatches)});
}

void Stage::Complete(MicroBatch& step) {
  const Profile::Span span(profile_, ProfilePart::kNorm);
  const float multiplier = LayerOf(step).residual_multiplier;
  float* x = step.residual.data();
  const float* sum = step.sum.data();
  const double* totals = step.totals.data();
  ParallelRows(compute_->pool, step.batch.rows(), hidden_, [&](int64_t first, int64_t end) {
    if (step.exact) {
      for (int64_t row = first; row < end; ++row) {
        AddTotal(compute_->isa, totals + row * hidden_, step.grid[row], multiplier, hidden_,
                 x + row * hidden_);
      }
    } else {
      for (int64_t i = first * hidden_; i < end * hidden_; ++i) x[i] += multiplier * sum[i];
    }
  });
  if (step.op == LayerOperator::kFfn) ++step.layer;
  step.op = step.op == LayerOperator::kAttention ? LayerOperator::kFfn : LayerOperator::kAttention;
}

StepProgress Stage::Finish(MicroBatch& step) {
  if (head_) return head_->Forward(*compute_, profile_, step.batch.logits, step.residual.data());
  HiddenProgress progress;
  progress.hidden.resize(static_cast<size_t>(step.batch.rows() * hidden_) * sizeof(float));
  std::memcpy(progress.hidden.data(), step.residual.data(), progress.hidden.size());
  return progress;
}

Stage::Layer& Stage::LayerOf(const MicroBatch& step) {
  return *layers_[step.layer - options_.slice.first_layer];
}

}  // namespace conclave
