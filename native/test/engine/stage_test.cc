#include "conclave/engine/stage.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/expect_error.h"
#include "conclave/engine/rank_shard.h"
#include "kernels/cpu/backend.h"
#include "model/test_model.h"

namespace conclave {
namespace {

constexpr int kBlockSize = 4;
const std::vector<int32_t> kTokens{5, 17, 3, 40, 8, 8, 21, 0, 47, 13, 5};

RankSlice WholeSlice(const ModelSpec& spec) {
  return {0, static_cast<int>(spec.layers.size()), {0, 1, 1}};
}

// Rows [begin, end) of the tokens as one sequence; every row's log-probability of the token after
// it is wanted.
StepBatch Batch(const std::vector<int32_t>& tokens, int32_t begin, int32_t end, int32_t slot = -1) {
  StepBatch batch;
  batch.where.sequence_offsets = {0, end - begin};
  const int32_t blocks = (static_cast<int32_t>(tokens.size()) + kBlockSize - 1) / kBlockSize;
  for (int32_t block = 0; block < blocks; ++block)
    batch.where.block_tables.push_back(blocks - block);
  batch.where.block_offsets = {0, blocks};
  batch.where.state_slots = {slot};
  for (int32_t position = begin; position < end; ++position) {
    batch.where.positions.push_back(position);
    batch.token_ids.push_back(tokens[static_cast<size_t>(position)]);
    LogitsRow row;
    row.row = position - begin;
    row.target = tokens[(static_cast<size_t>(position) + 1) % tokens.size()];
    row.logprobs = 0;
    batch.logits.push_back(row);
  }
  return batch;
}

struct Remote {
  ExpertBank* bank = nullptr;
  RankShard* rank = nullptr;
};

// Drives stages to the end of a batch, answering dispatches from `remotes`.
class Driver {
 public:
  explicit Driver(std::vector<Stage*> stages, std::map<int32_t, Remote> remotes = {})
      : stages_(std::move(stages)), remotes_(std::move(remotes)) {}

  std::vector<float> Run(StepBatch batch) {
    const SequenceRowsData where = batch.where;
    for (Stage* stage : stages_) {
      StepProgress progress = Begin(*stage, batch);
      while (auto* dispatch = std::get_if<DispatchProgress>(&progress)) {
        const std::vector<PartialSum> partials = Answer(*dispatch, where);
        stage->Resume(dispatch->step, partials, stopping_,
                      [&](StepProgress next) { progress = std::move(next); });
      }
      if (auto* output = std::get_if<StepOutput>(&progress)) return output->logprobs;
      batch.hidden = std::move(std::get<HiddenProgress>(progress).hidden);
    }
    throw std::runtime_error("no output");
  }

  StepProgress Begin(Stage& stage, StepBatch batch) {
    StepProgress progress;
    stage.Begin(std::move(batch), stage.routes(), stopping_,
                [&](StepProgress first) { progress = std::move(first); });
    return progress;
  }

  std::vector<PartialSum> Answer(const DispatchProgress& progress, const SequenceRowsData& where) {
    std::vector<PartialSum> partials;
    for (const Dispatch& dispatch : progress.dispatches) {
      const Remote& remote = remotes_.at(dispatch.target);
      const ExpertRows& experts = dispatch.experts;
      const auto sums = [&] {
        if (progress.op == LayerOperator::kAttention)
          return remote.rank->Attention(experts, where.view());
        return dispatch.dense ? remote.rank->Ffn(experts, remote.bank)
                              : remote.bank->Forward(experts);
      };
      EncodedTotals totals = sums();
      partials.push_back({dispatch.row_indices, totals.type, std::move(totals.partial)});
    }
    return partials;
  }

 private:
  std::vector<Stage*> stages_;
  std::map<int32_t, Remote> remotes_;
  std::atomic<bool> stopping_ = false;
};

class StageTest : public testing::Test {
 protected:
  std::shared_ptr<Backend> backend_ = std::make_shared<CpuBackend>(2, SupportedIsas().back());

  std::shared_ptr<ExpertBank> Bank(const std::shared_ptr<const WeightStore>& store,
                                   int slices = 1) {
    auto bank = std::make_shared<ExpertBank>(backend_, store);
    std::vector<ExpertSlot> slots;
    for (int layer = 0; layer < static_cast<int>(store->spec().layers.size()); ++layer) {
      const MoeSpec* moe = store->spec().layers[static_cast<size_t>(layer)].Find<MoeSpec>();
      for (int e = 0; moe != nullptr && e < moe->experts.count; ++e) {
        for (int s = 0; s < slices; ++s) slots.push_back({layer, e, s, slices});
      }
    }
    LoadMonitor monitor({}, {});
    bank->Load(slots, monitor);
    return bank;
  }

  std::unique_ptr<Stage> MakeStage(const std::shared_ptr<const WeightStore>& store,
                                   const std::shared_ptr<ExpertBank>& bank, const RankSlice& slice,
                                   std::vector<int32_t> ranks = {}, int64_t state_slots = 0) {
    LoadMonitor monitor({}, {});
    return std::make_unique<Stage>(
        backend_, store, bank,
        StageOptions{slice, {8, kBlockSize, state_slots}, std::move(ranks), ActivationType::kF32},
        monitor);
  }

  static std::vector<double> Expected(const TestModel& model) {
    std::vector<double> logprobs;
    const auto logits = model.Logits(kTokens);
    for (size_t t = 0; t < kTokens.size(); ++t) {
      double total = 0;
      for (const double logit : logits[t]) total += std::exp(logit);
      logprobs.push_back(logits[t][static_cast<size_t>(kTokens[(t + 1) % kTokens.size()])] -
                         std::log(total));
    }
    return logprobs;
  }

  // f32 sums of up to 64 products through two layers: errors of a few hundred 2^-24 on logits of
  // order 5.
  static void ExpectClose(const std::vector<float>& got, const std::vector<double>& expected,
                          double tolerance = 1e-4) {
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_NEAR(got[i], expected[i], tolerance) << "position " << i;
  }
};

TEST_F(StageTest, ComputesWhatTheSpecificationSays) {
  TestModelShape shapes[7];
  shapes[1].experts = 0;
  shapes[2].shared_expert = true;
  shapes[3].biases = true;
  shapes[4].qk_norm = QkNorm::kPerHead;
  shapes[5].qk_norm = QkNorm::kFullWidth;
  shapes[6].sliding_window = 3;
  for (size_t i = 0; i < std::size(shapes); ++i) {
    SCOPED_TRACE(i);
    const TestModel model(shapes[i]);
    const auto store = model.Open();
    const auto stage = MakeStage(store, Bank(store), WholeSlice(model.spec()));
    Driver driver({stage.get()});
    ExpectClose(driver.Run(Batch(kTokens, 0, 11)), Expected(model));
  }
}

TEST_F(StageTest, AppliesEveryMultiplier) {
  const TestModel model({});
  ModelSpec spec = model.spec();
  // x is scaled by 2, and what is added to it too: the final norm undoes both, up to its epsilon.
  // Logits are halved.
  spec.embedding_multiplier = 2;
  for (LayerSpec& layer : spec.layers) {
    for (BlockSpec& block : layer.blocks) block.residual_multiplier = 2;
  }
  spec.logit_multiplier = 0.5;
  const auto store =
      std::make_shared<const WeightStore>(model.directory(), spec, WeightsFormat::kF32);
  const auto stage = MakeStage(store, Bank(store), WholeSlice(spec));
  Driver scaled({stage.get()});
  std::vector<double> expected;
  for (size_t t = 0; t < kTokens.size(); ++t) {
    const std::vector<double> logits = model.Logits(kTokens)[t];
    double total = 0;
    for (const double logit : logits) total += std::exp(logit / 2);
    expected.push_back(logits[static_cast<size_t>(kTokens[(t + 1) % kTokens.size()])] / 2 -
                       std::log(total));
  }
  ExpectClose(scaled.Run(Batch(kTokens, 0, 11)), expected, 1e-3);
}

TEST_F(StageTest, ChunksOfAPromptGiveTheSameBits) {
  const TestModel model({});
  const auto store = model.Open(WeightsFormat::kBF16);
  const auto stage = MakeStage(store, Bank(store), WholeSlice(model.spec()));
  Driver driver({stage.get()});
  const std::vector<float> whole = driver.Run(Batch(kTokens, 0, 11));
  for (const int32_t chunk : {1, 2, 3, 5, 10}) {
    std::vector<float> pieces;
    for (int32_t begin = 0; begin < 11; begin += chunk) {
      const std::vector<float> piece =
          driver.Run(Batch(kTokens, begin, std::min(11, begin + chunk)));
      pieces.insert(pieces.end(), piece.begin(), piece.end());
    }
    EXPECT_EQ(pieces, whole) << "chunks of " << chunk;
  }
}

TEST_F(StageTest, AnyLayoutGivesTheSame) {
  TestModelShape shape;
  shape.shared_expert = true;
  shape.biases = true;
  shape.qk_norm = QkNorm::kPerHead;
  const TestModel model(shape);
  const auto store = model.Open();
  const auto halves = Bank(store, 2);
  const auto other = Bank(store, 2);
  LoadMonitor monitor({}, {});
  const CacheOptions cache{8, kBlockSize};
  RankShard rank(backend_, store, {0, 2, {1, 2, 2}}, cache, monitor);
  const auto first = MakeStage(store, halves, {0, 1, {0, 1, 2}}, {2});
  const auto second = MakeStage(store, halves, {1, 2, {0, 1, 2}}, {2});
  const ExpertRoute route{
      2, {0, 2, 3, 4, 4, 5, 6, 7, 8}, {0, 2, 2, 0, 1, 0, 1, 2}, std::vector<float>(8, 1)};
  first->SetRoute(0, route);
  second->SetRoute(1, route);
  const Remote both{other.get(), &rank};
  Driver driver({first.get(), second.get()}, {{-1, both}, {1, both}, {2, both}});
  ExpectClose(driver.Run(Batch(kTokens, 0, 11)), Expected(model));
}

// Layers with states of a fixed size before layers with a paged cache.
class HybridTest : public StageTest {
 protected:
  static TestModelShape Shape() {
    TestModelShape shape;
    shape.layers = 3;
    shape.running_sums = 2;
    shape.biases = true;
    return shape;
  }
  const TestModel model_{Shape()};
};

TEST_F(HybridTest, ComputesWhatTheSpecificationSaysInAnyChunks) {
  const auto store = model_.Open();
  const auto stage = MakeStage(store, Bank(store), WholeSlice(model_.spec()), {}, 2);
  Driver driver({stage.get()});
  const std::vector<float> whole = driver.Run(Batch(kTokens, 0, 11, 1));
  ExpectClose(whole, Expected(model_), 1e-3);
  for (const int32_t chunk : {1, 2, 3, 5, 10}) {
    std::vector<float> pieces;
    for (int32_t begin = 0; begin < 11; begin += chunk) {
      const std::vector<float> piece =
          driver.Run(Batch(kTokens, begin, std::min(11, begin + chunk), 0));
      pieces.insert(pieces.end(), piece.begin(), piece.end());
    }
    EXPECT_EQ(pieces, whole) << "chunks of " << chunk;
  }
}

TEST_F(HybridTest, RanksAndStagesGiveTheSame) {
  const auto store = model_.Open();
  const auto bank = Bank(store);
  LoadMonitor monitor({}, {});
  RankShard rank(backend_, store, {0, 3, {1, 2, 2}}, {8, kBlockSize, 4}, monitor);
  const auto first = MakeStage(store, bank, {0, 1, {0, 1, 2}}, {2}, 4);
  const auto second = MakeStage(store, bank, {1, 3, {0, 1, 2}}, {2}, 4);
  Driver driver({first.get(), second.get()}, {{2, {nullptr, &rank}}});
  std::vector<float> pieces;
  for (const auto& [begin, end] : {std::pair{0, 7}, {7, 8}, {8, 11}}) {
    const std::vector<float> piece = driver.Run(Batch(kTokens, begin, end, 3));
    pieces.insert(pieces.end(), piece.begin(), piece.end());
  }
  ExpectClose(pieces, Expected(model_), 1e-3);
}

TEST_F(HybridTest, RefusesRowsThatDoNotFollowThoseOfTheirState) {
  const auto store = model_.Open();
  const auto stage = MakeStage(store, Bank(store), WholeSlice(model_.spec()), {}, 2);
  Driver driver({stage.get()});
  driver.Run(Batch(kTokens, 0, 4, 1));
  const auto refused = [&](int32_t begin, int32_t slot, const char* problem) {
    ExpectError(ErrorCode::kInvalidArgument, problem,
                [&] { driver.Run(Batch(kTokens, begin, begin + 2, slot)); });
  };
  refused(5, 1, "positions[0]: expected 0 or 4, which the state in slot 1 waits for, got 5");
  refused(3, 1, "positions[0]: expected 0 or 4, which the state in slot 1 waits for, got 3");
  refused(4, 0, "positions[0]: expected 0 or 0, which the state in slot 0 waits for, got 4");
  refused(4, 2, "batch.stateSlots[0]: expected 0 to 1, got 2");
  refused(4, -1, "batch.stateSlots[0]: expected 0 to 1, got -1");
  EXPECT_NO_THROW(driver.Run(Batch(kTokens, 4, 6, 1)));
  ExpectError(ErrorCode::kInvalidArgument, "stateSlots: expected at least 1",
              [&] { MakeStage(store, Bank(store), WholeSlice(model_.spec())); });
}

TEST_F(HybridTest, RefusesStatesAndSharesThatDoNotFitTheOperator) {
  ModelSpec spec = model_.spec();
  std::get<FixedCacheSpec>(*spec.layers[1].blocks[0].operators[0].cache).states[0].heads = 1;
  ExpectError(ErrorCode::kInvalidArgument,
              "layers[1].blocks[0].operators[0].cache: expected the operator's heads",
              [&] { ValidateSpec(spec); });
  const auto store = model_.Open();
  ExpectError(ErrorCode::kInvalidArgument,
              "share: [0, 1) of 8 parts has none of the 4 heads of layer 0", [&] {
                MakeStage(store, Bank(store), {0, 1, {0, 1, 8}}, {2}, 1);
              });
}

TEST_F(StageTest, ARouteHoldsForMicroBatchesThatBeginAfterIt) {
  const TestModel model({});
  const auto store = model.Open();
  const auto bank = Bank(store);
  const auto stage = MakeStage(store, bank, WholeSlice(model.spec()));
  Driver driver({stage.get()}, {{1, {bank.get(), nullptr}}});
  const ExpertRoute remote{1, {0, 1, 2, 3, 4}, {1, 1, 1, 1}, {1, 1, 1, 1}};
  stage->SetRoute(0, remote);
  StepProgress waiting = driver.Begin(*stage, Batch(kTokens, 0, 11));
  stage->SetRoute(0, LocalRoute(4));
  stage->SetRoute(1, remote);
  const auto dispatch = std::get<DispatchProgress>(std::move(waiting));
  EXPECT_EQ(dispatch.layer, 0);
  const std::atomic<bool> stopping = false;
  StepProgress done;
  stage->Resume(dispatch.step, driver.Answer(dispatch, {}), stopping,
                [&](StepProgress next) { done = std::move(next); });
  EXPECT_TRUE(std::holds_alternative<StepOutput>(done));
  EXPECT_EQ(std::get<DispatchProgress>(driver.Begin(*stage, Batch(kTokens, 0, 11))).layer, 1);
}

TEST_F(StageTest, AFailureOfLocalShardsComesWithTheNextResume) {
  const TestModel model({});
  const auto store = model.Open();
  const auto bank = Bank(store);
  const auto empty = std::make_shared<ExpertBank>(backend_, store);
  const auto stage = MakeStage(store, empty, WholeSlice(model.spec()));
  stage->SetRoute(0, {1, {0, 1, 2, 3, 4}, {0, 1, 1, 1}, {1, 1, 1, 1}});
  Driver driver({stage.get()}, {{1, {bank.get(), nullptr}}});
  const auto dispatch = std::get<DispatchProgress>(driver.Begin(*stage, Batch(kTokens, 0, 11)));
  const std::atomic<bool> stopping = false;
  const auto resume = [&] {
    stage->Resume(dispatch.step, driver.Answer(dispatch, {}), stopping, [](StepProgress) {});
  };
  ExpectError(ErrorCode::kSlotNotLoaded, "layer 0 expert 0", resume);
  ExpectError(ErrorCode::kInvalidArgument, "expected a step that waits", resume);
}

TEST_F(StageTest, RefusesAResidualStreamThatIsNotFinite) {
  const TestModel model({});
  const auto store = model.Open();
  const auto stage = MakeStage(store, Bank(store), {1, 2, {0, 1, 1}});
  StepBatch batch = Batch(kTokens, 0, 11);
  std::vector<float> hidden(11 * 32, 1);
  hidden[7 * 32 + 31] = NAN;
  batch.hidden.emplace(hidden.size() * 4);
  EncodeActivations(ActivationType::kF32, hidden.data(), 11 * 32, batch.hidden->data());
  Driver driver({stage.get()});
  ExpectError(ErrorCode::kNonFinite, "batch.hidden: row 7", [&] { driver.Run(batch); });
  batch.hidden->pop_back();
  ExpectError(ErrorCode::kInvalidArgument,
              "batch.hidden: expected 1408 bytes for f32 [11, 32], got 1407",
              [&] { driver.Run(batch); });
  batch.hidden.reset();
  ExpectError(ErrorCode::kInvalidArgument, "batch.hidden: expected the output",
              [&] { driver.Run(batch); });
}

TEST_F(StageTest, StopsBetweenLayers) {
  const TestModel model({});
  const auto store = model.Open();
  const auto stage = MakeStage(store, Bank(store), WholeSlice(model.spec()));
  const std::atomic<bool> stopping = true;
  ExpectError(ErrorCode::kClosed, "closed", [&] {
    stage->Begin(Batch(kTokens, 0, 11), stage->routes(), stopping,
                 [](StepProgress) { FAIL() << "delivered"; });
  });
}

TEST_F(StageTest, RefusesASliceWithoutTheRanksThatHoldTheRest) {
  const TestModel model({});
  const auto store = model.Open();
  ExpectError(ErrorCode::kInvalidArgument, "rankTargets", [&] {
    MakeStage(store, Bank(store), {0, 2, {0, 1, 2}});
  });
  ExpectError(ErrorCode::kInvalidArgument, "rankTargets[2]: expected distinct targets, got 3 again",
              [&] {
                MakeStage(store, Bank(store), {0, 2, {0, 1, 2}}, {3, 4, 3});
              });
  TestModelShape full;
  full.qk_norm = QkNorm::kFullWidth;
  const TestModel normed(full);
  const auto other = normed.Open();
  ExpectError(ErrorCode::kUnsupported, "layer 0", [&] {
    MakeStage(other, Bank(other), {0, 2, {0, 1, 2}}, {3});
  });
  ExpectError(ErrorCode::kInvalidArgument, "same weight store",
              [&] { MakeStage(other, Bank(store), WholeSlice(normed.spec())); });
}

TEST_F(StageTest, RefusesMoreAlternativesThanFitInMemory) {
  std::vector<LogitsRow> wanted(5);
  for (size_t i = 0; i < wanted.size(); ++i) {
    wanted[i].row = static_cast<int32_t>(i);
    wanted[i].logprobs = 1 << 24;
  }
  const auto check = [&](size_t rows) {
    ValidateLogitsRows(std::span(wanted).first(rows), 5, int64_t{1} << 24);
  };
  EXPECT_NO_THROW(check(4));
  ExpectError(ErrorCode::kInvalidArgument, "logits.logprobs of entry 4", [&] { check(5); });
}

TEST_F(StageTest, AQuantisedSliceIsTheSliceOfTheQuantisedWhole) {
  const TestModel model({});
  const auto store = model.Open(WeightsFormat::kQ8);
  const auto whole = MakeStage(store, Bank(store, 1), WholeSlice(model.spec()));
  const auto cut = MakeStage(store, Bank(store, 2), WholeSlice(model.spec()));
  ExpertRoute route{
      2, {0, 1, 2, 3, 4, 5, 6, 7, 8}, std::vector<int32_t>(8, 0), std::vector<float>(8, 1)};
  cut->SetRoute(0, route);
  cut->SetRoute(1, route);
  const std::vector<float> expected = Driver({whole.get()}).Run(Batch(kTokens, 0, 11));
  ExpectClose(Driver({cut.get()}).Run(Batch(kTokens, 0, 11)), {expected.begin(), expected.end()});
}

}  // namespace
}  // namespace conclave
