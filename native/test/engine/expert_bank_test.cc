#include "conclave/engine/expert_bank.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>

#include "base/expect_error.h"
#include "kernels/cpu/backend.h"
#include "kernels/cpu/exact_sum/exact_sum.h"
#include "model/test_model.h"

namespace conclave {
namespace {

std::vector<ExpertSlot> AllSlots(const ModelSpec& spec, int slices = 1) {
  std::vector<ExpertSlot> slots;
  for (int layer = 0; layer < static_cast<int>(spec.layers.size()); ++layer) {
    const MoeSpec* moe = spec.layers[layer].Find<MoeSpec>();
    for (int e = 0; moe != nullptr && e < moe->experts.count; ++e) {
      for (int s = 0; s < slices; ++s) slots.push_back({layer, e, s, slices});
    }
  }
  return slots;
}

std::vector<LoadedSlot> Load(ExpertBank& bank, const std::vector<ExpertSlot>& slots) {
  LoadMonitor monitor({}, {});
  bank.Check(slots);
  return bank.Load(slots, monitor);
}

struct Rows {
  ExpertRows rows;
  std::vector<std::vector<double>> x;
};

constexpr int32_t kGrid = -28;

// Rows of multiples of 1/8, which every encoding holds exactly.
Rows MakeRows(int hidden, int64_t count, ActivationType type, std::vector<int32_t> ids,
              std::vector<float> weights) {
  Rows made;
  made.rows.layer = 1;
  made.rows.row_count = count;
  made.rows.type = type;
  made.rows.grid.assign(static_cast<size_t>(count), kGrid);
  made.rows.top_k = static_cast<int64_t>(ids.size()) / count;
  made.rows.topk_ids = std::move(ids);
  made.rows.topk_weights = std::move(weights);
  made.rows.rows.resize(static_cast<size_t>(count * hidden) * ActivationBytes(type));
  for (int64_t r = 0; r < count; ++r) {
    std::vector<float> row;
    for (int i = 0; i < hidden; ++i)
      row.push_back(static_cast<float>((r * 7 + i * 5) % 17 - 8) / 8);
    made.x.emplace_back(row.begin(), row.end());
    EncodeActivations(
        type, row.data(), hidden,
        made.rows.rows.data() + static_cast<size_t>(r * hidden) * ActivationBytes(type));
  }
  return made;
}

class ExpertBankTest : public testing::Test {
 protected:
  TestModel model_{{}};
  std::shared_ptr<Backend> backend_ = std::make_shared<CpuBackend>(2, SupportedIsas().back());
  std::shared_ptr<const WeightStore> store_ = model_.Open();
  ExpertBank bank_{backend_, store_};

  const MoeSpec& Moe(int layer) const {
    return *model_.spec().layers[static_cast<size_t>(layer)].Find<MoeSpec>();
  }

  static std::vector<double> Decode(const EncodedTotals& totals) {
    std::vector<double> values(totals.partial.size() / PartialBytes(totals.type), 0.0);
    AddEncoded(Isa::kPortable, totals.type, totals.partial.data(),
               static_cast<int64_t>(values.size()), values.data());
    for (double& value : values) value = std::ldexp(value, kGrid);
    return values;
  }

  void ExpectSums(const Rows& rows, int slices, const EncodedTotals& totals) const {
    const auto hidden = static_cast<size_t>(model_.spec().hidden_size);
    const std::vector<double> got = Decode(totals);
    ASSERT_EQ(got.size(), rows.x.size() * hidden);
    for (size_t r = 0; r < rows.x.size(); ++r) {
      std::vector<double> sum(hidden, 0.0);
      for (size_t j = 0; j < static_cast<size_t>(rows.rows.top_k); ++j) {
        const size_t entry = r * static_cast<size_t>(rows.rows.top_k) + j;
        const int32_t id = rows.rows.topk_ids[entry];
        if (id < 0 || id % slices != 0)
          continue;  // every slice of an expert is listed: count it once
        const std::vector<double> y = model_.Ffn(Moe(1).experts.Expert(id / slices), rows.x[r]);
        for (size_t i = 0; i < hidden; ++i) sum[i] += rows.rows.topk_weights[entry] * y[i];
      }
      // f32 sums of up to 64 products of order 1, twice nested: a few hundred roundings of 2^-24.
      for (size_t i = 0; i < hidden; ++i)
        EXPECT_NEAR(got[r * hidden + i], sum[i], 1e-4) << "row " << r;
    }
  }
};

TEST_F(ExpertBankTest, SumsTheExpertsOfEachRow) {
  Load(bank_, AllSlots(model_.spec()));
  for (const ActivationType type : {ActivationType::kF32, ActivationType::kBF16}) {
    const Rows rows = MakeRows(32, 3, type, {0, 3, 2, -1, -1, -1}, {0.25f, 0.75f, 1.5f, 0, 0, 0});
    ExpectSums(rows, 1, bank_.Forward(rows.rows));
  }
}

TEST_F(ExpertBankTest, SlicesAddUpToTheWhole) {
  Load(bank_, AllSlots(model_.spec(), 2));
  const Rows rows = MakeRows(32, 2, ActivationType::kF32, {0, 1, 6, 7, 4, 5, 2, 3},
                             {0.25f, 0.25f, 0.75f, 0.75f, 0.5f, 0.5f, 1, 1});
  ExpectSums(rows, 2, bank_.Forward(rows.rows));
}

TEST_F(ExpertBankTest, ARowGetsTheSameBitsAloneAndAmongOthers) {
  Load(bank_, AllSlots(model_.spec()));
  const Rows many =
      MakeRows(32, 9, ActivationType::kF32, {0, 1, 1, 2, 2, 3, 3, 0, 0, 2, 1, 3, 0, 1, 1, 2, 3, 2},
               std::vector<float>(18, 0.5f));
  const std::vector<double> all = Decode(bank_.Forward(many.rows));
  for (size_t r = 0; r < 9; ++r) {
    ExpertRows one = many.rows;
    one.row_count = 1;
    one.rows.assign(many.rows.rows.begin() + static_cast<std::ptrdiff_t>(r * 128),
                    many.rows.rows.begin() + static_cast<std::ptrdiff_t>((r + 1) * 128));
    one.grid.resize(1);
    one.topk_ids = {many.rows.topk_ids[2 * r + 1], many.rows.topk_ids[2 * r]};  // in another order
    one.topk_weights = {0.5f, 0.5f};
    const std::vector<double> alone = Decode(bank_.Forward(one));
    EXPECT_TRUE(
        std::equal(alone.begin(), alone.end(), all.begin() + static_cast<std::ptrdiff_t>(r * 32)))
        << r;
  }
}

TEST_F(ExpertBankTest, TheSumOfARowIsTheSameHoweverItsExpertsAreSplit) {
  Load(bank_, AllSlots(model_.spec()));
  Rows rows = MakeRows(32, 1, ActivationType::kF32, {0, 1, 2, 3}, {0.3f, 0.1f, 0.55f, 0.05f});
  for (const int32_t grid : {-150, -28, -20, -3, 0}) {
    rows.rows.grid = {grid};
    const std::vector<double> whole = Decode(bank_.Forward(rows.rows));
    for (int mask = 1; mask < 8; ++mask) {
      std::vector<double> sum(32, 0.0);
      for (const bool half : {false, true}) {
        ExpertRows part = rows.rows;
        for (int e = 0; e < 4; ++e) {
          if (((mask >> e) & 1) == (half ? 1 : 0)) part.topk_ids[static_cast<size_t>(e)] = -1;
        }
        const std::vector<double> values = Decode(bank_.Forward(part));
        for (size_t i = 0; i < 32; ++i) sum[i] += values[i];
      }
      if (grid >= -28) {
        EXPECT_EQ(sum, whole) << "grid " << grid << " mask " << mask;
      }
    }
  }
}

TEST_F(ExpertBankTest, KeepsWhatIsLoadedAndForgetsWhatIsUnloaded) {
  const std::vector<ExpertSlot> slots = AllSlots(model_.spec());
  const std::vector<LoadedSlot> first = Load(bank_, slots);
  const std::vector<LoadedSlot> again = Load(bank_, slots);
  ASSERT_EQ(first.size(), 8u);
  EXPECT_EQ(bank_.slot_count(), 8);
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].checksum, again[i].checksum);
    const FfnSpec expert = Moe(slots[i].layer).experts.Expert(slots[i].expert);
    uint32_t crc = 0;
    for (const LinearSpec* linear : {&*expert.gate, &expert.up, &expert.down}) {
      const auto source = store_->Matrix(linear->weight, Whole(linear->weight), &crc);
      std::vector<float> row(static_cast<size_t>(source->cols()));
      for (int64_t r = 0; r < source->rows(); ++r) source->Raw(r, row.data());
    }
    EXPECT_EQ(first[i].checksum, crc);
  }
  bank_.Unload(std::vector<ExpertSlot>{slots[5], slots[5]});
  EXPECT_FALSE(bank_.Has(slots[5]));
  EXPECT_TRUE(bank_.Has(slots[4]));
  EXPECT_EQ(bank_.slot_count(), 7);
  bank_.Unload(slots);
  EXPECT_EQ(bank_.slot_count(), 0);
  EXPECT_EQ(bank_.bytes(), 0u);
}

TEST_F(ExpertBankTest, NamesTheSlotThatIsMissing) {
  Load(bank_, {{1, 0, 0, 1}});
  const Rows rows = MakeRows(32, 1, ActivationType::kF32, {0, 2}, {1, 1});
  ExpectError(ErrorCode::kSlotNotLoaded, "layer 1 expert 2 slice 0 of 1 is not loaded",
              [&] { bank_.Forward(rows.rows); });
}

TEST_F(ExpertBankTest, RefusesACorruptExpertAndKeepsTheOthers) {
  model_.Poison(Moe(1).experts.Expert(2).up.weight.data, 100);
  ExpectError(ErrorCode::kCorruptCheckpoint, "tensor layers.1.experts.2.up.weight", [&] {
    Load(bank_, {{1, 1, 0, 1}, {1, 2, 0, 1}});
  });
  EXPECT_TRUE(bank_.Has({1, 1, 0, 1}));
  EXPECT_FALSE(bank_.Has({1, 2, 0, 1}));
}

TEST_F(ExpertBankTest, AnotherCutWaitsUntilTheFirstIsUnloaded) {
  Load(bank_, {{1, 0, 0, 2}});
  ExpectError(ErrorCode::kInvalidArgument, "layer 1 is cut into 2, got 1", [&] {
    Load(bank_, {{1, 1, 0, 1}});
  });
  bank_.Unload(std::vector<ExpertSlot>{{1, 0, 0, 2}});
  EXPECT_EQ(Load(bank_, {{1, 1, 0, 1}}).size(), 1u);
}

TEST_F(ExpertBankTest, ReportsProgressAndEndsWhenItIsClosed) {
  std::vector<uint64_t> done;
  uint64_t total = 0;
  LoadMonitor monitor(
      [&](LoadPart part, uint64_t bytes, uint64_t all) {
        EXPECT_EQ(part, LoadPart::kWeights);
        done.push_back(bytes);
        total = all;
      },
      {&bank_.closed()});
  const std::vector<ExpertSlot> slots = AllSlots(model_.spec());
  bank_.Load(slots, monitor);
  ASSERT_FALSE(done.empty());
  EXPECT_EQ(done.back(), total);
  EXPECT_EQ(total, 8u * 3 * 64 * 32 * 2);
  bank_.Unload(slots);
  bank_.Close();
  ExpectError(ErrorCode::kClosed, "closed while loading", [&] {
    LoadMonitor closed({}, {&bank_.closed()});
    bank_.Load(slots, closed);
  });
}

TEST_F(ExpertBankTest, LoadsAndUnloadsBesideCallsThatUseTheSlots) {
  const std::vector<ExpertSlot> slots = AllSlots(model_.spec());
  Load(bank_, slots);
  std::atomic<bool> stop = false;
  std::thread loader([&] {
    while (!stop) {
      bank_.Unload(std::vector<ExpertSlot>{{1, 2, 0, 1}, {1, 3, 0, 1}});
      Load(bank_, slots);
    }
  });
  const Rows rows = MakeRows(32, 2, ActivationType::kF32, {0, 2, 3, 1}, {1, 1, 1, 1});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  int answers = 0;
  while (answers < 100 && std::chrono::steady_clock::now() < deadline) {
    try {
      ExpectSums(rows, 1, bank_.Forward(rows.rows));
      ++answers;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kSlotNotLoaded) << error.what();
      std::this_thread::yield();
    }
  }
  stop = true;
  loader.join();
  EXPECT_EQ(answers, 100);
}

}  // namespace
}  // namespace conclave
