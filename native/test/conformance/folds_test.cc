#include <cmath>
#include <vector>

#include "conformance/harness.h"

namespace conclave {
namespace {

constexpr int kLength = 37;
constexpr int64_t kSlots = 3;

// Two sequences side by side, in chunks, the second half as long: blocks of odd and even numbers.
struct Step {
  std::vector<int32_t> positions, offsets{0}, tables, table_offsets{0}, slots{2, 0};

  Step(int begin, int end, int block_size) {
    for (int sequence = 0; sequence < 2; ++sequence) {
      const int last = sequence == 0 ? end : end / 2;
      for (int p = sequence == 0 ? begin : begin / 2; p < last; ++p) positions.push_back(p);
      offsets.push_back(static_cast<int32_t>(positions.size()));
      for (int block = 0; block <= (kLength - 1) / block_size; ++block)
        tables.push_back(2 * block + sequence);
      table_offsets.push_back(static_cast<int32_t>(tables.size()));
    }
  }
  SequenceRows view() const { return {positions, offsets, tables, table_offsets, slots}; }
  int64_t rows() const { return static_cast<int64_t>(positions.size()); }

  // By sequence and position alone.
  std::vector<float> Rows(int64_t width, unsigned kind) const {
    std::vector<float> x;
    for (size_t s = 0; s < 2; ++s) {
      for (int32_t row = offsets[s]; row < offsets[s + 1]; ++row) {
        const auto position = static_cast<unsigned>(positions[static_cast<size_t>(row)]);
        const auto values =
            Normal(width, kind * 10'000u + static_cast<unsigned>(s) * 1'000u + position);
        x.insert(x.end(), values.begin(), values.end());
      }
    }
    return x;
  }
};

// In one step, or in many that cut spans.
const std::vector<std::vector<int>> kCuts = {{0, kLength}, {0, 3, 4, 5, 16, 30, kLength}};

class FoldsTest : public ConformanceTest {
 protected:
  // Outputs by sequence and position.
  static std::vector<std::vector<float>> Folds(Device& device, const FoldParams& params,
                                               int64_t width, const std::vector<int>& cuts) {
    const int64_t stored = params.overlapping ? 2 * width : width;
    const VectorPtr bias = device->Store(Normal(params.span * stored, 7));
    const auto states = device->CreateStates({kSlots, 3 * stored});
    std::vector<std::vector<float>> outputs(2 * kLength);
    for (size_t i = 0; i + 1 < cuts.size(); ++i) {
      const Step step(cuts[i], cuts[i + 1], 4);
      if (step.rows() == 0) continue;
      const SequenceRows where = step.view();
      if (i == 0) device->ClearStates(step.slots, *states);
      const Tensor output = device.Empty(step.rows(), width);
      device->Fold(params, *device->Place(where), device.Upload(step.Rows(stored, 0), stored),
                   device.Upload(step.Rows(stored, 1), stored), *bias, *states, output);
      const std::vector<float> values = device.Download(output);
      for (size_t s = 0; s < 2; ++s) {
        for (int32_t row = step.offsets[s]; row < step.offsets[s + 1]; ++row) {
          outputs[s * kLength + static_cast<size_t>(step.positions[static_cast<size_t>(row)])] = {
              values.begin() + row * width, values.begin() + (row + 1) * width};
        }
      }
    }
    return outputs;
  }
};

TEST_P(FoldsTest, FoldsAsTheReferenceDoesHoweverRowsCome) {
  for (const FoldParams& params : {FoldParams{4, true}, {8, false}, {1, true}, {128, false}}) {
    for (const int64_t width : {1, 24, 300}) {
      SCOPED_TRACE(testing::Message() << "spans of " << params.span << ", " << width << " wide");
      const auto expected = Folds(reference_, params, width, kCuts[0]);
      const auto actual = Folds(device_, params, width, kCuts[0]);
      EXPECT_EQ(Folds(device_, params, width, kCuts[1]), actual);
      // Sums of up to 2 span terms below 6, each scaled as often, by exponentials of 3 e.
      const double bound = 6.0 * 8 * std::min(2 * params.span, kLength) * kEpsilon;
      for (size_t p = 0; p < expected.size(); ++p) {
        for (size_t i = 0; i < expected[p].size(); ++i)
          ASSERT_NEAR(actual[p][i], expected[p][i], bound) << "position " << p;
      }
    }
  }
}

// By hand: the second span of two rows, of which the first half of the columns comes from the first
// span.
TEST_P(FoldsTest, MixesTheSpanBeforeIn) {
  const std::vector<int32_t> positions{0, 1, 2, 3}, offsets{0, 4}, slots{0};
  const SequenceRows where{positions, offsets, {}, {}, slots};
  const auto states = device_->CreateStates({1, 6});
  device_->ClearStates(slots, *states);
  const VectorPtr bias = device_->Store({0, 0, std::log(3.0f), 0});
  const Tensor values = device_.Upload({1, 10, 2, 20, 3, 30, 4, 40}, 2);
  const Tensor gates = device_.Upload(std::vector<float>(8, 0.0f), 2);
  const Tensor output = device_.Empty(4, 1);
  device_->Fold({2, true}, *device_->Place(where), values, gates, *bias, *states, output);
  const std::vector<float> folded = device_.Download(output);
  EXPECT_NEAR(folded[1], 15, 1e-5);
  // Weights 1, 3 of 1 and 2, and 1, 1 of 30 and 40.
  EXPECT_NEAR(folded[3], (1 + 3 * 2 + 30 + 40) / 6.0, 1e-5);
}

TEST_P(FoldsTest, SelectsSlotsAsTheReferenceDoes) {
  for (const SlotLayout& layout :
       {SlotLayout{4, 1, 4}, {4, 1, 8}, {16, 4, 4}, {5, 2, 3}, {64, 1, 128}}) {
    for (const int window : {1, 6, 100}) {
      SCOPED_TRACE(testing::Message()
                   << layout.positions << " positions, spans of " << layout.span);
      const Step step(0, kLength, layout.positions);
      const int64_t words = layout.SlotOf(kLength - 1) / 32 + 1;
      std::vector<int32_t> some;
      for (const float x : step.Rows(2, 3)) some.push_back(static_cast<int32_t>(x * 5e8f));
      const auto run = [&](Device& device, bool selected) {
        const KeySelection entries{device.UploadIds(some, 2)};
        const KeySelection output{device.UploadIds(
            std::vector<int32_t>(static_cast<size_t>(step.rows() * words), -1), words)};
        const SequenceRows where = step.view();
        device->SelectSlots(layout, window, *device->Place(where), selected ? &entries : nullptr,
                            output);
        return device.Download(output.words);
      };
      EXPECT_EQ(run(device_, false), run(reference_, false));
      EXPECT_EQ(run(device_, true), run(reference_, true));
    }
  }
}

// Entries are written beside the keys of positions, and rows read those that they have seen whole.
TEST_P(FoldsTest, AttendsToEntriesAndSelectsAmongThem) {
  const SlotLayout layout{4, 1, 4};
  const SelectionParams params{.heads = 3, .head_dim = 12, .kept = 3, .span = 4};
  const int dims = params.head_dim;
  const Step step(0, kLength, layout.positions);
  const SequenceRows where = step.view();
  for (const KvType type : {KvType::kF32, KvType::kBF16}) {
    const auto run = [&](Device& device) {
      const auto rows = device->Place(where);
      const auto cache = device->CreateCache({20, layout.entries, 1, dims, dims}, type);
      const auto upload = [&](int64_t width, unsigned kind) {
        std::vector<float> numbers = step.Rows(width, kind);
        for (float& x : numbers) x = std::round(x * 2);
        return device.Upload(numbers, width);
      };
      device->WriteEntries(layout, *rows, upload(dims, 0), *cache);
      const KeySelection output{
          device.UploadIds(std::vector<int32_t>(static_cast<size_t>(step.rows()), -1), 1)};
      const Tensor weights = upload(params.heads, 2);
      device->SelectKeys(params, *rows, upload(int64_t{params.heads} * dims, 1), {}, &weights,
                         *cache, output);
      return device.Download(output.words);
    };
    const std::vector<int32_t> actual = run(device_);
    EXPECT_EQ(actual, run(reference_));
    // Before the first span has ended there is nothing to select.
    for (int row = 0; row < 3; ++row) EXPECT_EQ(actual[static_cast<size_t>(row)], 0);
    EXPECT_EQ(actual[3], 1);
  }
}

CONCLAVE_CONFORMANCE(FoldsTest);

}  // namespace
}  // namespace conclave
