#include "conclave/stage.h"

#include <algorithm>
#include <cstring>

#include "message.h"
#include "parallel_rows.h"
#include "parallel_tasks.h"

namespace conclave {

struct Stage::Layer {
  Layer(TensorLoader& loader, const ModelSpec& spec, int index, const StageOptions& options)
      : attention_norm(loader.Vector(spec.layers[index].attention_norm.weight)),
        attention_epsilon(spec.layers[index].attention_norm.epsilon),
        ffn_norm(loader.Vector(spec.layers[index].ffn_norm.weight)),
        ffn_epsilon(spec.layers[index].ffn_norm.epsilon),
        slice(loader, spec, index, options.slice, options.cache, true),
        has_dense(spec.layers[index].dense() != nullptr),
        residual_multiplier(spec.layers[index].residual_multiplier) {
    if (const MoeSpec* moe = spec.layers[index].moe()) gate.emplace(loader, *moe);
  }

  uint64_t weight_bytes() const {
    return (attention_norm.size() + ffn_norm.size()) * sizeof(float) + slice.weight_bytes() +
           (gate ? gate->weight_bytes() : 0);
  }

  static uint64_t SourceBytes(const LayerSpec& spec) {
    return spec.attention_norm.weight.bytes() + spec.ffn_norm.weight.bytes() +
           LayerSlice::SourceBytes(spec) +
           (spec.moe() != nullptr ? spec.moe()->gate.weight.bytes() : 0);
  }

  std::vector<float> attention_norm;
  float attention_epsilon;
  std::vector<float> ffn_norm;
  float ffn_epsilon;
  LayerSlice slice;
  std::optional<ExpertGate> gate;
  bool has_dense;  // here or on another rank
  float residual_multiplier;
};

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
  Buffer<float> sum;             // [rows, H]; the operator's output
};

Stage::Stage(std::shared_ptr<Compute> compute, std::shared_ptr<const WeightStore> store,
             std::shared_ptr<ExpertBank> bank, StageOptions options, LoadMonitor& monitor)
    : compute_(std::move(compute)),
      store_(std::move(store)),
      bank_(std::move(bank)),
      options_(std::move(options)),
      hidden_(store_->spec().hidden_size) {
  const ModelSpec& spec = store_->spec();
  ValidateRankSlice(spec, options_.slice);
  ValidateCacheOptions(options_.cache);
  for (size_t i = 0; i < options_.rank_targets.size(); ++i) {
    if (options_.rank_targets[i] < 1) {
      Fail(ErrorCode::kInvalidArgument, "rankTargets[", i, "]: expected 1 or more, got ",
           options_.rank_targets[i]);
    }
  }
  if (options_.rank_targets.empty() && !HoldsEverything(spec, options_.slice)) {
    Fail(ErrorCode::kInvalidArgument,
         "rankTargets: expected the ranks that hold the other heads and dense parts, got none");
  }
  if (&bank_->store() != store_.get()) {
    Fail(ErrorCode::kInvalidArgument, "bank: expected a bank of the same weight store");
  }
  Load(monitor);
}

Stage::~Stage() = default;

void Stage::Load(LoadMonitor& monitor) {
  const ModelSpec& spec = store_->spec();
  const RankSlice& slice = options_.slice;
  for (int i = slice.first_layer; i < slice.end_layer; ++i)
    monitor.Expect(Layer::SourceBytes(spec.layers[i]));
  if (has_last_layer()) monitor.Expect(OutputHead::SourceBytes(spec));
  TensorLoader loader(*store_, *compute_->kernels, monitor);
  const int64_t layers = slice.end_layer - slice.first_layer;
  layers_.resize(static_cast<size_t>(layers));
  const int64_t tasks = layers + (has_last_layer() ? 1 : 0);
  ParallelTasks(compute_->pool.threads(), tasks, [&](int64_t task) {
    if (task == layers) {
      head_.emplace(loader, spec);
    } else {
      const int layer = slice.first_layer + static_cast<int>(task);
      layers_[task] = std::make_unique<Layer>(loader, spec, layer, options_);
    }
  });
  if (head_) weight_bytes_ += head_->weight_bytes();
  ExpertRoutes routes;
  for (const auto& layer : layers_) {
    weight_bytes_ += layer->weight_bytes();
    cache_bytes_ += layer->slice.attention.cache_bytes();
    const int experts = layer->gate ? layer->gate->experts() : 0;
    routes.push_back(layer->gate ? std::make_shared<const ExpertRoute>(LocalRoute(experts))
                                 : nullptr);
    expert_rows_.emplace_back(static_cast<size_t>(experts), 0);
  }
  routes_ = std::make_shared<const ExpertRoutes>(std::move(routes));
  if (has_first_layer()) store_->Populate(spec.embedding);
  monitor.Finish();
}

bool Stage::has_last_layer() const {
  return static_cast<size_t>(options_.slice.end_layer) == store_->spec().layers.size();
}

Stage::Layer& Stage::LayerOf(const MicroBatch& step) {
  return *layers_[step.layer - options_.slice.first_layer];
}

void Stage::Begin(StepBatch batch, std::shared_ptr<const ExpertRoutes> routes,
                  const std::atomic<bool>& stopping, const Deliver& deliver) {
  Check(batch);
  if (idle_.empty()) idle_.push_back(std::make_unique<MicroBatch>());
  std::unique_ptr<MicroBatch> owned = std::move(idle_.back());
  idle_.pop_back();
  MicroBatch& step = *owned;
  step.id = next_step_++;
  step.batch = std::move(batch);
  step.routes = std::move(routes);
  step.layer = options_.slice.first_layer;
  step.op = LayerOperator::kAttention;
  steps_.emplace(step.id, std::move(owned));
  Guard(step, [&] {
    Enter(step);
    Advance(step, stopping, deliver);
  });
}

void Stage::Resume(int64_t id, std::span<const PartialSum> partials,
                   const std::atomic<bool>& stopping, const Deliver& deliver) {
  const auto found = steps_.find(id);
  if (found == steps_.end() || !found->second->waiting) {
    Fail(ErrorCode::kInvalidArgument, "step: expected a step that waits for partial sums, got ",
         id);
  }
  MicroBatch& step = *found->second;
  if (step.failure) {
    const std::exception_ptr failure = step.failure;
    Retire(step);
    std::rethrow_exception(failure);
  }
  {
    const Profile::Span span(profile_, ProfilePart::kCombine);
    CheckPartials(partials, step.answers, step.batch.rows(), hidden_);
    AddPartials(compute_->pool, partials, hidden_, step.sum.data());
  }
  step.waiting = false;
  Guard(step, [&] {
    Complete(step);
    Advance(step, stopping, deliver);
  });
}

void Stage::Abort(int64_t id) {
  const auto found = steps_.find(id);
  if (found != steps_.end()) Retire(*found->second);
}

template <typename Work>
void Stage::Guard(MicroBatch& step, const Work& work) {
  const int64_t id = step.id;
  try {
    work();
  } catch (...) {
    const auto found = steps_.find(id);
    if (found == steps_.end()) throw;
    if (!found->second->waiting) {
      Retire(*found->second);
      throw;
    }
    found->second->failure = std::current_exception();
  }
}

void Stage::Retire(MicroBatch& step) {
  const auto found = steps_.find(step.id);
  std::unique_ptr<MicroBatch> owned = std::move(found->second);
  steps_.erase(found);
  owned->batch = {};
  owned->routes = nullptr;
  owned->waiting = false;
  owned->failure = nullptr;
  if (idle_.size() < 4) idle_.push_back(std::move(owned));
}

void Stage::Check(const StepBatch& batch) const {
  ValidateSequenceRows("batch.", batch.where.view(), options_.cache);
  const int64_t rows = batch.rows();
  const ModelSpec& spec = store_->spec();
  if (has_first_layer()) {
    if (batch.hidden)
      Fail(ErrorCode::kInvalidArgument, "batch.hidden: expected null at the first stage");
    if (static_cast<int64_t>(batch.token_ids.size()) != rows) {
      Fail(ErrorCode::kInvalidArgument, "batch.tokenIds: expected ", rows,
           " entries, one per position, got ", batch.token_ids.size());
    }
    for (size_t i = 0; i < batch.token_ids.size(); ++i) {
      if (batch.token_ids[i] < 0 || batch.token_ids[i] >= spec.vocab_size) {
        Fail(ErrorCode::kInvalidArgument, "batch.tokenIds[", i, "]: expected 0 to ",
             spec.vocab_size - 1, ", got ", batch.token_ids[i]);
      }
    }
  } else {
    if (!batch.hidden)
      Fail(ErrorCode::kInvalidArgument,
           "batch.hidden: expected the output of the stage before, got null");
    const auto bytes = static_cast<size_t>(rows * hidden_ * 4);
    if (batch.hidden->size() != bytes) {
      Fail(ErrorCode::kInvalidArgument, "batch.hidden: expected ", bytes, " bytes for f32 [", rows,
           ", ", hidden_, "], got ", batch.hidden->size());
    }
  }
  if (has_last_layer()) ValidateLogitsRows(batch.logits, rows, spec.vocab_size);
}

void Stage::Enter(MicroBatch& step) {
  const Profile::Span span(profile_, ProfilePart::kEmbedding);
  const int64_t rows = step.batch.rows();
  float* x = step.residual.Reserve(rows * hidden_);
  step.normalized.Reserve(rows * hidden_);
  step.sum.Reserve(rows * hidden_);
  if (step.batch.hidden) {
    std::memcpy(x, step.batch.hidden->data(), step.batch.hidden->size());
    step.batch.hidden.reset();
    return;
  }
  const ModelSpec& spec = store_->spec();
  for (int64_t row = 0; row < rows; ++row) {
    store_->ReadRow(spec.embedding, step.batch.token_ids[row], x + row * hidden_);
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
  ParallelRows(compute_->pool, step.batch.rows(), hidden_, [&](int64_t first, int64_t end) {
    RmsNorm(compute_->isa, x + first * hidden_, weight.data(), epsilon, end - first, hidden_,
            hidden_, output + first * hidden_);
  });
}

bool Stage::RunAttention(MicroBatch& step, const Deliver& deliver) {
  Layer& layer = LayerOf(step);
  Normalize(layer.attention_norm, layer.attention_epsilon, step);
  const bool remote = !options_.rank_targets.empty();
  if (remote) {
    const DispatchInput input{step.layer, step.batch.rows(), hidden_, step.normalized.data(),
                              options_.dispatch_type};
    Await(step, LayerOperator::kAttention, BuildDispatches(input, options_.rank_targets, false, {}),
          deliver);
  }
  const Profile::Span span(profile_, ProfilePart::kAttention);
  layer.slice.attention.Forward(*compute_, scratch_, step.batch.where.view(),
                                step.normalized.data(), step.sum.data());
  return !remote;
}

bool Stage::RunFfn(MicroBatch& step, const Deliver& deliver) {
  Layer& layer = LayerOf(step);
  Normalize(layer.ffn_norm, layer.ffn_epsilon, step);
  const RoutedEntries routed = layer.gate ? Route(step) : RoutedEntries();
  const std::span<const int32_t> ranks = layer.has_dense
                                             ? std::span<const int32_t>(options_.rank_targets)
                                             : std::span<const int32_t>();
  const bool remote = !ranks.empty() || !routed.remote.empty();
  if (remote) {
    const DispatchInput input{step.layer, step.batch.rows(), hidden_, step.normalized.data(),
                              options_.dispatch_type};
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
  const int64_t elements = rows * hidden_;
  float* sum = step.sum.data();
  if (layer.gate) {
    const Profile::Span span(profile_, ProfilePart::kExperts);
    expert_sum_.Sort(routed.local, int64_t{layer.gate->experts()} * routed.slices);
    const auto experts = bank_->Acquire(step.layer, routed.slices, expert_sum_.used());
    std::vector<const FfnWeights*> weights;
    for (const auto& expert : experts) weights.push_back(&expert->weights);
    expert_sum_.Run(*compute_, weights, step.normalized.data(), rows, hidden_, sum);
  } else {
    std::fill_n(sum, elements, 0.0f);
  }
  if (!layer.slice.dense) return;
  const Profile::Span span(profile_, ProfilePart::kDense);
  float* partial = scratch_.partial.Reserve(elements);
  layer.slice.dense->Forward(*compute_, scratch_, step.normalized.data(), rows, hidden_, partial);
  for (int64_t i = 0; i < elements; ++i) sum[i] += partial[i];
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
  ParallelRows(compute_->pool, step.batch.rows(), hidden_, [&](int64_t first, int64_t end) {
    for (int64_t i = first * hidden_; i < end * hidden_; ++i) x[i] += multiplier * sum[i];
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

void Stage::SetRoute(int layer, ExpertRoute route) {
  const int first = options_.slice.first_layer;
  if (layer < first || layer >= options_.slice.end_layer) {
    Fail(ErrorCode::kInvalidArgument, "layer: expected ", first, " to ",
         options_.slice.end_layer - 1, ", got ", layer);
  }
  const std::optional<ExpertGate>& gate = layers_[layer - first]->gate;
  if (!gate) Fail(ErrorCode::kInvalidArgument, "layer: layer ", layer, " has no experts");
  ValidateRoute(route, gate->experts());
  const std::lock_guard lock(mutex_);
  ExpertRoutes changed = *routes_;
  changed[layer - first] = std::make_shared<const ExpertRoute>(std::move(route));
  routes_ = std::make_shared<const ExpertRoutes>(std::move(changed));
}

std::shared_ptr<const ExpertRoutes> Stage::routes() const {
  const std::lock_guard lock(mutex_);
  return routes_;
}

std::vector<std::vector<uint32_t>> Stage::TakeExpertRows() {
  const std::lock_guard lock(mutex_);
  std::vector<std::vector<uint32_t>> taken = expert_rows_;
  for (auto& layer : expert_rows_) std::fill(layer.begin(), layer.end(), 0);
  return taken;
}

}  // namespace conclave
