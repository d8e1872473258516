#include "cuda/device-check/models/whole_model.h"

#include "conclave/base/message.h"

namespace conclave::device_check {
namespace {

std::vector<ExpertSlot> AllExperts(const ModelSpec& spec) {
  std::vector<ExpertSlot> slots;
  for (int layer = 0; layer < static_cast<int>(spec.layers.size()); ++layer) {
    const auto* const moe = spec.layers[static_cast<size_t>(layer)].Find<MoeSpec>();
    for (int expert = 0; moe != nullptr && expert < moe->experts.count; ++expert)
      slots.push_back({layer, expert, 0, 1});
  }
  return slots;
}

}  // namespace

WholeModel::WholeModel(const std::shared_ptr<Backend>& backend, const std::string& folder,
                       const ModelSpec& spec, WeightsFormat weights, const CacheOptions& cache)
    : store_(std::make_shared<const WeightStore>(folder, spec, weights)) {
  LoadMonitor monitor({}, {});
  const auto bank = std::make_shared<ExpertBank>(backend, store_);
  bank->Load(AllExperts(spec), monitor);
  const StageOptions options{.slice = {0, static_cast<int>(spec.layers.size()), {0, 1, 1}},
                             .cache = cache,
                             .rank_targets = {},
                             .dispatch_type = ActivationType::kF32};
  stage_ = std::make_unique<Stage>(backend, store_, bank, options, monitor);
}

StepOutput WholeModel::Run(StepBatch batch) {
  StepProgress progress;
  stage_->Begin(std::move(batch), stage_->routes(), stopping_,
                [&](StepProgress next) { progress = std::move(next); });
  auto* const output = std::get_if<StepOutput>(&progress);
  if (output == nullptr) Fail(ErrorCode::kInternal, "a step of a whole model gave no output");
  return std::move(*output);
}

void Append(const SequencePart& part, StepBatch* batch) {
  SequenceRowsData& where = batch->where;
  if (where.sequence_offsets.empty()) {
    where.sequence_offsets.push_back(0);
    where.block_offsets.push_back(0);
  }
  for (int32_t position = part.begin; position < part.end; ++position) {
    LogitsRow wanted;
    wanted.row = static_cast<int32_t>(where.positions.size());
    wanted.logprobs = part.scored ? 0 : -1;
    wanted.position = position + 1;
    const size_t next = static_cast<size_t>(position) + 1;
    if (part.scored && next < part.tokens.size()) wanted.target = part.tokens[next];
    if (part.scored || position == part.end - 1) batch->logits.push_back(std::move(wanted));
    where.positions.push_back(position);
    batch->token_ids.push_back(part.tokens[static_cast<size_t>(position)]);
  }
  where.block_tables.insert(where.block_tables.end(), part.blocks.begin(), part.blocks.end());
  where.sequence_offsets.push_back(static_cast<int32_t>(where.positions.size()));
  where.block_offsets.push_back(static_cast<int32_t>(where.block_tables.size()));
  where.state_slots.push_back(part.slot);
}

}  // namespace conclave::device_check
