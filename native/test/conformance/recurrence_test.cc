#include <algorithm>
#include <vector>

#include "conformance/harness.h"

namespace conclave {
namespace {

// Rows of a sequence in one step, with the state in a slot.
struct Chunk {
  int32_t slot;
  int32_t begin;
  int32_t end;
};
using Step = std::vector<Chunk>;

class RecurrenceTest : public ConformanceTest {
 protected:
  static constexpr int64_t kSlots = 5;

  // Runs steps over rows that slot and position alone determine; the outputs of each.
  static std::vector<std::vector<float>> Run(Device& device, int64_t width,
                                             const std::vector<Step>& steps) {
    const StateShape shape{kSlots, width};
    const auto states = device->CreateStates(shape);
    EXPECT_EQ(states->bytes(), device->StateBytes(shape));
    EXPECT_EQ(states->bytes(), static_cast<size_t>(kSlots * width) * sizeof(float));
    std::vector<std::vector<float>> outputs;
    for (const Step& step : steps) {
      std::vector<int32_t> positions, offsets{0}, slots, begun;
      std::vector<float> x;
      for (const Chunk& chunk : step) {
        slots.push_back(chunk.slot);
        if (chunk.begin == 0) begun.push_back(chunk.slot);
        for (int32_t position = chunk.begin; position < chunk.end; ++position) {
          positions.push_back(position);
          const auto row = Normal(width, static_cast<unsigned>(chunk.slot * 1000 + position));
          x.insert(x.end(), row.begin(), row.end());
        }
        offsets.push_back(static_cast<int32_t>(positions.size()));
      }
      const SequenceRows where{positions, offsets, {}, {}, slots};
      const Tensor rows = device.Upload(x, width);
      device->ClearStates(begun, *states);
      device->RunningSum(rows, *device->Place(where), *states, rows);
      outputs.push_back(device.Download(rows));
    }
    return outputs;
  }
};

// Additions in the order of the rows round alike everywhere.
TEST_P(RecurrenceTest, SumsRowsAsTheReferenceDoes) {
  const std::vector<Step> steps = {
      {{3, 0, 7}},
      {{0, 0, 1}, {3, 7, 8}, {4, 0, 40}},
      {{4, 40, 41}, {0, 1, 2}, {3, 0, 3}},  // Slot 3 has a new sequence.
      {{3, 3, 4}, {1, 0, 2}},
  };
  for (const int64_t width : {1, 3, 16, 255, 256, 257, 2000}) {
    SCOPED_TRACE(width);
    EXPECT_EQ(Run(device_, width, steps), Run(reference_, width, steps));
  }
}

TEST_P(RecurrenceTest, ARowsSumDoesNotDependOnItsStep) {
  const int64_t width = 300;
  const auto whole = Run(device_, width, {{{2, 0, 50}}})[0];
  for (const int32_t chunk : {1, 7, 49}) {
    std::vector<Step> steps;
    for (int32_t begin = 0; begin < 50; begin += chunk)
      steps.push_back({{0, begin, begin + 1}, {2, begin, std::min(50, begin + chunk)}});
    std::vector<float> pieces;
    for (const std::vector<float>& output : Run(device_, width, steps))
      pieces.insert(pieces.end(), output.begin() + width, output.end());
    EXPECT_EQ(pieces, whole) << "chunks of " << chunk;
  }
}

CONCLAVE_CONFORMANCE(RecurrenceTest);

}  // namespace
}  // namespace conclave
