#include "conclave/engine/stage.h"

#include <algorithm>

#include "conclave/base/message.h"
#include "conclave/base/parallel_tasks.h"
#include "micro_batch.h"
#include "stage_layer.h"

namespace conclave {

Stage::Stage(std::shared_ptr<Backend> backend, std::shared_ptr<const WeightStore> store,
             std::shared_ptr<ExpertBank> bank, StageOptions options, LoadMonitor& monitor)
    : backend_(std::move(backend)),
      store_(std::move(store)),
      bank_(std::move(bank)),
      options_(std::move(options)),
      hidden_(store_->spec().hidden_size),
      streams_(store_->spec().streams) {
  const ModelSpec& spec = store_->spec();
  ValidateRankSlice(spec, options_.slice);
  ValidateCacheOptions(options_.cache);
  for (size_t i = 0; i < options_.rank_targets.size(); ++i) {
    if (options_.rank_targets[i] < 1) {
      Fail(ErrorCode::kInvalidArgument, "rankTargets[", i, "]: expected 1 or more, got ",
           options_.rank_targets[i]);
    }
    const auto before = options_.rank_targets.begin() + static_cast<int64_t>(i);
    if (std::find(options_.rank_targets.begin(), before, options_.rank_targets[i]) != before) {
      Fail(ErrorCode::kInvalidArgument, "rankTargets[", i, "]: expected distinct targets, got ",
           options_.rank_targets[i], " again");
    }
  }
  if (options_.rank_targets.empty() && !HoldsEverything(options_.slice)) {
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
  for (int i = slice.first_layer; i < slice.end_layer; ++i) {
    for (const BlockSpec& block : spec.layers[i].blocks) {
      monitor.Expect(Block::SourceBytes(block));
      has_aside_ = has_aside_ || block.aside;
      if (block.mix) stream_weights_ = std::max(stream_weights_, block.mix->weight.rows());
      has_token_input_ = has_token_input_ || block.Find<TokenInputSpec>() != nullptr;
      if (const MoeSpec* moe = block.Find<MoeSpec>(); moe != nullptr && moe->input)
        narrow_width_ = std::max(narrow_width_, moe->width());
    }
    if (const auto& scale = spec.layers[i].scale) monitor.Expect(scale->bytes());
  }
  if (has_first_layer()) monitor.Expect(spec.embedding.bytes());
  if (has_last_layer()) monitor.Expect(OutputHead::SourceBytes(spec));
  TensorLoader loader(*store_, *backend_, monitor);
  const int64_t layers = slice.end_layer - slice.first_layer;
  layers_.resize(static_cast<size_t>(layers));
  ParallelTasks(backend_->pool().threads(), layers + 2, [&](int64_t task) {
    if (task < layers) {
      const int layer = slice.first_layer + static_cast<int>(task);
      layers_[task] = std::make_unique<Layer>();
      for (const BlockSpec& block : spec.layers[layer].blocks)
        layers_[task]->blocks.emplace_back(loader, spec, block, options_);
      if (const auto& scale = spec.layers[layer].scale)
        layers_[task]->scale = loader.Floats(*scale, {0, 1})[0];
    } else if (task == layers && has_first_layer()) {
      embedding_ = loader.Embedding(spec.embedding);
    } else if (task > layers && has_last_layer()) {
      head_.emplace(loader, spec);
    }
  });
  if (embedding_) weight_bytes_ += embedding_->bytes();
  if (head_) weight_bytes_ += head_->weight_bytes();
  ExpertRoutes routes;
  std::vector<Mixer*> mixers;
  reads_tokens_ = has_first_layer();
  for (const auto& layer : layers_) {
    mixers.push_back(nullptr);
    reads_tokens_ = reads_tokens_ || (layer->gate() != nullptr && layer->gate()->reads_tokens());
    for (Block& block : layer->blocks) {
      weight_bytes_ += block.weight_bytes();
      cache_bytes_ += block.slice.cache_bytes();
      if (block.slice.mixer) mixers.back() = block.slice.mixer.get();
    }
    const int experts = layer->gate() != nullptr ? layer->gate()->experts() : 0;
    routes.push_back(experts > 0 ? std::make_shared<const ExpertRoute>(LocalRoute(experts))
                                 : nullptr);
    expert_rows_.emplace_back(static_cast<size_t>(experts), 0);
  }
  routes_ = std::make_shared<const ExpertRoutes>(std::move(routes));
  monitor.Finish();
  TakeCaches(*backend_, spec, slice.first_layer, mixers, monitor);
}

bool Stage::has_last_layer() const {
  return static_cast<size_t>(options_.slice.end_layer) == store_->spec().layers.size();
}

void Stage::Begin(StepBatch batch, std::shared_ptr<const ExpertRoutes> routes,
                  const std::atomic<bool>& stopping, const Deliver& deliver) {
  Check(batch);
  if (idle_.empty()) idle_.push_back(std::make_unique<MicroBatch>(*backend_));
  std::unique_ptr<MicroBatch> owned = std::move(idle_.back());
  idle_.pop_back();
  MicroBatch& step = *owned;
  step.id = next_step_++;
  step.batch = std::move(batch);
  step.routes = std::move(routes);
  step.layer = options_.slice.first_layer;
  step.block = 0;
  step.next = BlockPart::kNorm;
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
    CheckPartials(partials, step.answers, step.batch.rows(), step.totals.width);
    for (const PartialSum& partial : partials)
      backend_->AddEncoded(partial.row_indices, partial.type, partial.partial, step.totals);
  }
  step.waiting = false;
  Guard(step, [&] { Advance(step, stopping, deliver); });
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
  owned->mixers.reset();
  owned->where = nullptr;
  owned->batch = {};
  owned->routes = nullptr;
  owned->waiting = false;
  owned->failure = nullptr;
  if (idle_.size() < 4) idle_.push_back(std::move(owned));
}

void Stage::CheckTokens(const StepBatch& batch) const {
  if (static_cast<int64_t>(batch.token_ids.size()) != batch.rows()) {
    Fail(ErrorCode::kInvalidArgument, "batch.tokenIds: expected ", batch.rows(),
         " entries, one per position, got ", batch.token_ids.size());
  }
  for (size_t i = 0; i < batch.token_ids.size(); ++i) {
    if (batch.token_ids[i] < 0 || batch.token_ids[i] >= store_->spec().vocab_size) {
      Fail(ErrorCode::kInvalidArgument, "batch.tokenIds[", i, "]: expected 0 to ",
           store_->spec().vocab_size - 1, ", got ", batch.token_ids[i]);
    }
  }
}

void Stage::Check(const StepBatch& batch) const {
  ValidateSequenceRows("batch.", batch.where.view(), options_.cache);
  const int64_t rows = batch.rows();
  const ModelSpec& spec = store_->spec();
  if (reads_tokens_) CheckTokens(batch);
  if (has_first_layer()) {
    if (batch.hidden)
      Fail(ErrorCode::kInvalidArgument, "batch.hidden: expected null at the first stage");
  } else {
    if (!batch.hidden)
      Fail(ErrorCode::kInvalidArgument,
           "batch.hidden: expected the output of the stage before, got null");
    const int64_t width = spec.residual_width();
    const auto bytes = static_cast<size_t>(rows * width * 4);
    if (batch.hidden->size() != bytes) {
      Fail(ErrorCode::kInvalidArgument, "batch.hidden: expected ", bytes, " bytes for f32 [", rows,
           ", ", width, "], got ", batch.hidden->size());
    }
    for (int64_t row = 0; row < rows; ++row) {
      if (!AllFinite(ActivationType::kF32, batch.hidden->data() + row * width * 4, width)) {
        Fail(ErrorCode::kNonFinite, "batch.hidden: row ", row, " is not finite");
      }
    }
  }
  if (has_last_layer()) ValidateLogitsRows(batch.logits, rows, spec.vocab_size);
}

void Stage::SetRoute(int layer, ExpertRoute route) {
  const int first = options_.slice.first_layer;
  if (layer < first || layer >= options_.slice.end_layer) {
    Fail(ErrorCode::kInvalidArgument, "layer: expected ", first, " to ",
         options_.slice.end_layer - 1, ", got ", layer);
  }
  const ExpertGate* gate = layers_[layer - first]->gate();
  if (gate == nullptr) Fail(ErrorCode::kInvalidArgument, "layer: layer ", layer, " has no experts");
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
