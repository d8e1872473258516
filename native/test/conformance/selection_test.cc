#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "conformance/harness.h"
#include "kernels/reference/rows.h"

namespace conclave {
namespace {

// Two sequences side by side, in chunks; the blocks of each are those of odd and even numbers.
struct Step {
  std::vector<int32_t> positions;
  std::vector<int32_t> offsets{0};
  std::vector<int32_t> tables;
  std::vector<int32_t> table_offsets{0};

  SequenceRows view() const { return {positions, offsets, tables, table_offsets}; }
  int64_t rows() const { return static_cast<int64_t>(positions.size()); }
};

constexpr int kLength = 330;

Step StepOf(int begin, int end, int block_size, bool alone = false) {
  Step step;
  const int blocks = (kLength - 1) / block_size + 1;
  for (int sequence = 0; sequence < (alone ? 1 : 2); ++sequence) {
    // The second is half as long.
    const int last = sequence == 0 ? end : std::max(begin / 2 + 1, end / 2);
    for (int p = sequence == 0 ? begin : begin / 2; p < last; ++p) step.positions.push_back(p);
    step.offsets.push_back(static_cast<int32_t>(step.positions.size()));
    for (int block = 0; block < blocks; ++block) step.tables.push_back(2 * block + sequence);
    step.table_offsets.push_back(static_cast<int32_t>(step.tables.size()));
  }
  return step;
}

// Small whole numbers, by sequence and position: sums are exact, and equals are frequent.
std::vector<float> Numbers(const Step& step, int64_t width, unsigned kind) {
  std::vector<float> x;
  for (size_t s = 0; s + 1 < step.offsets.size(); ++s) {
    for (int32_t row = step.offsets[s]; row < step.offsets[s + 1]; ++row) {
      const auto seed = kind * 100'000u + static_cast<unsigned>(s) * 10'000u;
      for (const float value :
           Normal(width, seed + static_cast<unsigned>(step.positions[static_cast<size_t>(row)])))
        x.push_back(std::round(value * 1.5f));
    }
  }
  return x;
}

struct Case {
  SelectionParams params;
  bool weighed;
  int cache_block;

  int selectors() const { return weighed ? 1 : params.heads; }
};

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {{.heads = 1, .head_dim = 16, .kept = 8}, true, 16},
      {{.heads = 9, .head_dim = 12, .kept = 7}, true, 5},
      {{.heads = 6, .head_dim = 9, .kept = 100}, true, 32},
      {{.heads = 2, .head_dim = 16, .kept = 4, .block_size = 4, .latest = 1}, false, 16},
      {{.heads = 3, .head_dim = 10, .kept = 3, .block_size = 7, .latest = 2}, false, 24},
  };
  return cases;
}

// A backend with a cache of index keys.
class Selecting {
 public:
  Selecting(Device& device, const Case& given, KvType type)
      : device_(device),
        case_(given),
        cache_(device->CreateCache({2 * ((kLength - 1) / given.cache_block + 1), given.cache_block,
                                    1, given.params.head_dim, given.params.head_dim},
                                   type)) {}

  std::vector<int32_t> Run(const Step& step) {
    const SelectionParams& params = case_.params;
    const SequenceRows where = step.view();
    const int64_t q_width = int64_t{params.heads} * params.head_dim;
    std::vector<float> weights = Numbers(step, params.heads, 2);
    for (float& weight : weights) weight *= 0.25f;
    const Tensor uploaded = device_.Upload(weights, params.heads);
    const int64_t words = int64_t{case_.selectors()} * ((kLength - 1) / 32 + 1);
    const KeySelection output{
        device_.UploadIds(std::vector<int32_t>(static_cast<size_t>(step.rows() * words), -1),
                          words),
        case_.selectors()};
    device_->SelectKeys(params, *device_->Place(where),
                        device_.Upload(Numbers(step, q_width, 0), q_width),
                        device_.Upload(Numbers(step, params.head_dim, 1), params.head_dim),
                        case_.weighed ? &uploaded : nullptr, *cache_, output);
    return device_.Download(output.words);
  }

 private:
  Device& device_;
  const Case& case_;
  std::unique_ptr<PagedCache> cache_;
};

class SelectionTest : public ConformanceTest {};

TEST_P(SelectionTest, KeepsTheBlocksThatTheReferenceKeeps) {
  for (const Case& given : Cases()) {
    for (const KvType type : {KvType::kF32, KvType::kBF16}) {
      SCOPED_TRACE(testing::Message() << given.params.heads << " heads, cache blocks of "
                                      << given.cache_block << ", type " << static_cast<int>(type));
      Selecting actual(device_, given, type);
      Selecting expected(reference_, given, type);
      for (const auto& [begin, end] : {std::pair{0, 40}, {40, 41}, {41, 300}, {300, kLength}}) {
        const Step step = StepOf(begin, end, given.cache_block);
        ASSERT_EQ(actual.Run(step), expected.Run(step)) << "rows from " << begin;
      }
    }
  }
}

// What a selection leaves of keys and values is what the softmax is over.
TEST_P(SelectionTest, AttendsToWhatIsSelected) {
  const AttentionParams shapes[] = {
      {.heads = 4, .kv_heads = 2, .head_dim = 24, .value_dim = 20, .scale = 0.2f},
      {.heads = 5, .kv_heads = 1, .head_dim = 40, .values_inside = 32, .scale = 0.2f}};
  for (const AttentionParams& params : shapes) {
    for (const int selectors : {1, params.kv_heads}) {
      SCOPED_TRACE(testing::Message() << selectors << " selectors");
      const Step step = StepOf(0, 100, 16, true);
      const int64_t words = 4;
      std::vector<int32_t> bits;
      for (int32_t row = 0; row < 100; ++row) {
        for (int i = 0; i < selectors * words; ++i) {
          const float chosen = Normal(1, static_cast<unsigned>(row * 50 + i))[0];
          // Its own position, so that there is always one, and some others, or a word of none.
          int32_t word = i % 2 == 0 ? 0 : static_cast<int32_t>(chosen * 4e8f);
          if (i % words == row / 32) word |= static_cast<int32_t>(1u << (row % 32));
          bits.push_back(word);
        }
      }
      const auto attend = [&](Device& device) {
        const auto cache = device->CreateCache(
            {16, 16, params.kv_heads, params.head_dim, params.values_inside, params.value_dim},
            KvType::kF32);
        const auto upload = [&](int64_t width, unsigned seed) {
          return device.Upload(Normal(step.rows() * width, seed), width);
        };
        const SequenceRows where = step.view();
        const Tensor v = params.values_inside > 0
                             ? Tensor()
                             : upload(int64_t{params.kv_heads} * params.value_width(), 3);
        const Tensor output =
            device.Empty(step.rows(), int64_t{params.heads} * params.value_width());
        const KeySelection selection{device.UploadIds(bits, selectors * words), selectors};
        device->Attend(params, *device->Place(where),
                       upload(int64_t{params.heads} * params.head_dim, 1),
                       upload(int64_t{params.kv_heads} * params.head_dim, 2), v, nullptr, *cache,
                       output, &selection);
        return device.Download(output);
      };
      const std::vector<float> actual = attend(device_);
      const std::vector<float> expected = attend(reference_);
      // As Bound of attention_test.cc gives it for these sizes.
      for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 2e-4) << i;
    }
  }
}

CONCLAVE_CONFORMANCE(SelectionTest);

}  // namespace
}  // namespace conclave
