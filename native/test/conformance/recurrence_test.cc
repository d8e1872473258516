#include <algorithm>
#include <cmath>
#include <utility>
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

  // Rows that slot and position alone determine.
  static std::vector<float> Rows(const Step& step, int64_t width, int32_t kind) {
    std::vector<float> x;
    for (const Chunk& chunk : step) {
      for (int32_t position = chunk.begin; position < chunk.end; ++position) {
        const auto row =
            Normal(width, static_cast<unsigned>(kind * 10000 + chunk.slot * 1000 + position));
        x.insert(x.end(), row.begin(), row.end());
      }
    }
    return x;
  }

  // Runs steps with states of so many elements; the outputs of each. `operation` takes a step,
  // where its rows stand, and the states, and returns its output.
  template <typename Operation>
  static std::vector<std::vector<float>> Run(Device& device, int64_t elements,
                                             const std::vector<Step>& steps,
                                             const Operation& operation) {
    const StateShape shape{kSlots, elements};
    const auto states = device->CreateStates(shape);
    EXPECT_EQ(states->bytes(), device->StateBytes(shape));
    EXPECT_EQ(states->bytes(), static_cast<size_t>(kSlots * elements) * sizeof(float));
    std::vector<std::vector<float>> outputs;
    for (const Step& step : steps) {
      std::vector<int32_t> positions, offsets{0}, slots, begun;
      for (const Chunk& chunk : step) {
        slots.push_back(chunk.slot);
        if (chunk.begin == 0) begun.push_back(chunk.slot);
        for (int32_t position = chunk.begin; position < chunk.end; ++position)
          positions.push_back(position);
        offsets.push_back(static_cast<int32_t>(positions.size()));
      }
      const SequenceRows where{positions, offsets, {}, {}, slots};
      device->ClearStates(begun, *states);
      outputs.push_back(device.Download(operation(step, *device->Place(where), *states)));
    }
    return outputs;
  }

  static std::vector<std::vector<float>> Sums(Device& device, int64_t width,
                                              const std::vector<Step>& steps) {
    return Run(device, width, steps,
               [&](const Step& step, const StepRows& where, StateStore& states) {
                 const Tensor rows = device.Upload(Rows(step, width, 0), width);
                 device->RunningSum(rows, where, states, rows);
                 return rows;
               });
  }

  static std::vector<std::vector<float>> Convolutions(Device& device, int64_t width, int64_t taps,
                                                      bool biased, bool silu,
                                                      const std::vector<Step>& steps) {
    const VectorPtr weights = device->Store(Normal(taps * width, 1));
    const VectorPtr bias = biased ? device->Store(Normal(width, 2)) : nullptr;
    return Run(device, (taps - 1) * width, steps,
               [&](const Step& step, const StepRows& where, StateStore& states) {
                 const Tensor rows = device.Upload(Rows(step, width, 0), width);
                 const Tensor output = device.Empty(rows.rows, width);
                 device->Convolve(rows, *weights, bias.get(), silu, where, states, output);
                 return output;
               });
  }

  // Steps between 0 and 1 and negative rates, as models have them.
  static std::vector<std::vector<float>> Scans(Device& device, int64_t width, int64_t size,
                                               const std::vector<Step>& steps) {
    std::vector<float> given = Normal(width * size, 1);
    for (float& rate : given) rate = -std::exp(rate);
    const VectorPtr rates = device->Store(given);
    return Run(device, width * size, steps,
               [&](const Step& step, const StepRows& where, StateStore& states) {
                 const Tensor x = device.Upload(Rows(step, width, 0), width);
                 const Tensor by = device.Upload(Rows(step, width, 1), width);
                 device->Sigmoid(by);
                 device->SelectiveScan(where, x, by, *rates,
                                       device.Upload(Rows(step, size, 2), size),
                                       device.Upload(Rows(step, size, 3), size), states, x);
                 return x;
               });
  }

  // Keys of length 1, decays and writes between 0 and 1, as models have them: states stay bounded.
  static std::vector<std::vector<float>> Attentions(Device& device,
                                                    const LinearAttentionParams& params,
                                                    bool decay_each,
                                                    const std::vector<Step>& steps) {
    const int64_t keys = int64_t{params.key_heads} * params.key_dim;
    const int64_t values = int64_t{params.value_heads} * params.value_dim;
    const VectorPtr length = device->Store(
        std::vector<float>(params.key_dim, 1 / std::sqrt(static_cast<float>(params.key_dim))));
    const auto unit = [&](const Tensor& x) {
      const Tensor heads = x.Reshape(params.key_dim);
      device->RmsNorm(heads, *length, 1e-6f, heads);
      return x;
    };
    const auto between = [&](const Tensor& x) {
      device->Sigmoid(x);
      return x;
    };
    const int64_t decays = params.value_heads * (decay_each ? int64_t{params.key_dim} : 1);
    return Run(device, params.value_heads * int64_t{params.key_dim} * params.value_dim, steps,
               [&](const Step& step, const StepRows& where, StateStore& states) {
                 const auto upload = [&](int64_t width, int32_t kind) {
                   return device.Upload(Rows(step, width, kind), width);
                 };
                 const Tensor v = upload(values, 2);
                 const Tensor output = device.Empty(v.rows, values);
                 device->LinearAttend(params, where, unit(upload(keys, 0)), unit(upload(keys, 1)),
                                      v, between(upload(decays, 3)),
                                      between(upload(params.value_heads, 4)), states, output);
                 return output;
               });
  }

  static void ExpectNear(const std::vector<std::vector<float>>& actual,
                         const std::vector<std::vector<float>>& expected, double tolerance) {
    for (size_t step = 0; step < expected.size(); ++step) {
      ASSERT_EQ(actual[step].size(), expected[step].size());
      for (size_t i = 0; i < expected[step].size(); ++i)
        ASSERT_NEAR(actual[step][i], expected[step][i], tolerance) << step << ", " << i;
    }
  }

  // The rows of slot 2, whole and in chunks beside another sequence, must have the same bits.
  template <typename Operation>
  void ExpectTheSameInChunks(int64_t width, const Operation& operation) {
    const auto whole = operation({{{2, 0, 50}}})[0];
    for (const int32_t chunk : {1, 2, 7, 49}) {
      std::vector<Step> steps;
      for (int32_t begin = 0; begin < 50; begin += chunk)
        steps.push_back({{0, begin, begin + 1}, {2, begin, std::min(50, begin + chunk)}});
      std::vector<float> pieces;
      for (const std::vector<float>& output : operation(steps))
        pieces.insert(pieces.end(), output.begin() + width, output.end());
      EXPECT_EQ(pieces, whole) << "chunks of " << chunk;
    }
  }

  const std::vector<Step> steps_ = {
      {{3, 0, 7}},
      {{0, 0, 1}, {3, 7, 8}, {4, 0, 40}},
      {{4, 40, 41}, {0, 1, 2}, {3, 0, 3}},  // Slot 3 has a new sequence.
      {{3, 3, 4}, {1, 0, 2}},
  };
};

// Additions in the order of the rows round alike everywhere.
TEST_P(RecurrenceTest, SumsRowsAsTheReferenceDoes) {
  for (const int64_t width : {1, 3, 16, 255, 256, 257, 2000}) {
    SCOPED_TRACE(width);
    EXPECT_EQ(Sums(device_, width, steps_), Sums(reference_, width, steps_));
  }
}

TEST_P(RecurrenceTest, ConvolvesRowsAsTheReferenceDoes) {
  for (const int64_t width : {1, 3, 255, 256, 300}) {
    for (const int64_t taps : {2, 4, 9}) {
      for (const bool biased : {false, true}) {
        SCOPED_TRACE(testing::Message() << width << " by " << taps);
        // Sums of up to 10 products of normal numbers, each below 36 here; silu slopes at most 1.1.
        ExpectNear(Convolutions(device_, width, taps, biased, !biased, steps_),
                   Convolutions(reference_, width, taps, biased, !biased, steps_),
                   2 * 10 * 10 * 36 * kEpsilon);
      }
    }
  }
}

TEST_P(RecurrenceTest, AttendsLinearlyAsTheReferenceDoes) {
  const std::vector<LinearAttentionParams> cases = {{1, 1, 1, 1, true},     {2, 4, 16, 16, true},
                                                    {1, 3, 5, 7, false},    {2, 2, 16, 33, true},
                                                    {1, 2, 128, 128, true}, {1, 4, 16, 64, false}};
  for (const LinearAttentionParams& params : cases) {
    for (const bool each : {false, true}) {
      SCOPED_TRACE(testing::Message() << params.key_dim << " by " << params.value_dim);
      // 41 rows, each of key_dim + 4 roundings of a state and a sum that stay below 16.
      const double tolerance = 41 * (params.key_dim + 4) * 16 * kEpsilon;
      ExpectNear(Attentions(device_, params, each, steps_),
                 Attentions(reference_, params, each, steps_), tolerance);
    }
  }
}

TEST_P(RecurrenceTest, ScansSelectivelyAsTheReferenceDoes) {
  for (const auto& [width, size] : {std::pair<int64_t, int64_t>{1, 1}, {37, 10}, {300, 16}}) {
    SCOPED_TRACE(testing::Message() << width << " by " << size);
    // 41 rows, each of some roundings of states below 64 and a sum of them.
    ExpectNear(Scans(device_, width, size, steps_), Scans(reference_, width, size, steps_),
               41 * (static_cast<double>(size) + 8) * 64 * kEpsilon);
  }
}

TEST_P(RecurrenceTest, ARowDoesNotDependOnItsStep) {
  ExpectTheSameInChunks(300,
                        [&](const std::vector<Step>& steps) { return Sums(device_, 300, steps); });
  ExpectTheSameInChunks(300, [&](const std::vector<Step>& steps) {
    return Convolutions(device_, 300, 4, true, true, steps);
  });
  ExpectTheSameInChunks(
      37, [&](const std::vector<Step>& steps) { return Scans(device_, 37, 10, steps); });
  const LinearAttentionParams params{2, 4, 16, 37, true};
  ExpectTheSameInChunks(4 * 37, [&](const std::vector<Step>& steps) {
    return Attentions(device_, params, false, steps);
  });
}

TEST_P(RecurrenceTest, TurnsStepsIntoDecays) {
  const int64_t width = 37;
  std::vector<float> x = Normal(3 * width, 1);
  for (float& value : x) value *= 12;
  const std::vector<float> bias = Normal(width, 2);
  std::vector<float> rates = Normal(width, 3);
  for (float& rate : rates) rate = -std::exp(rate);
  const auto run = [&](Device& device, float least, float most) {
    const Tensor steps = device.Upload(x, width);
    device->Softplus(*device->Store(bias), least, most, steps);
    const Tensor decays = device.Empty(steps.rows, width);
    device->Decay(steps, *device->Store(rates), decays);
    return std::vector<std::vector<float>>{device.Download(steps), device.Download(decays)};
  };
  for (const auto& [least, most] : {std::pair{0.0f, 3e38f}, {0.5f, 4.0f}}) {
    const auto actual = run(device_, least, most);
    const auto expected = run(reference_, least, most);
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_NEAR(actual[0][i], expected[0][i], 8 * kEpsilon * (std::abs(expected[0][i]) + 1));
      // The exponent has the step's error, times a rate below 50.
      ASSERT_NEAR(actual[1][i], expected[1][i], 50 * 8 * 50 * kEpsilon);
      ASSERT_GE(actual[0][i], least);
      ASSERT_LE(actual[0][i], most);
    }
  }
}

CONCLAVE_CONFORMANCE(RecurrenceTest);

}  // namespace
}  // namespace conclave
