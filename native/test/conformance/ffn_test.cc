#include <algorithm>
#include <cmath>

#include "conformance/harness.h"
#include "conformance/weights.h"
#include "kernels/reference/rows.h"

namespace conclave {
namespace {

// A network and the matrices that it is packed from.
struct RandomFfn {
  RandomMatrix gate, up, down;
  ActivationParams activation;
  std::vector<float> gate_bias, up_bias, down_bias;  // empty: none

  RandomFfn(const Format& format, int64_t hidden, int64_t width, uint32_t seed)
      : gate(format, width, hidden, seed),
        up(format, width, hidden, seed + 1),
        down(format, hidden, width, seed + 2) {}

  FfnPtr Pack(Backend& backend, WeightsFormat format) const {
    TestSource gates = gate.source();
    TestSource ups = up.source();
    TestSource downs = down.source();
    const auto store = [&](const std::vector<float>& bias) {
      return bias.empty() ? nullptr : backend.Store(bias);
    };
    return backend.PackFfn(
        {.gate = activation.function == Activation::kReluSquared ? nullptr : &gates,
         .up = ups,
         .down = downs,
         .gate_bias = store(gate_bias),
         .up_bias = store(up_bias),
         .down_bias = store(down_bias),
         .activation = activation},
        format);
  }

  void AddBiases() {
    gate_bias = Normal(gate.rows(), 11);
    up_bias = Normal(up.rows(), 12);
    down_bias = Normal(down.rows(), 13);
  }
};

std::vector<double> PlusBias(std::vector<double> y, const std::vector<float>& bias) {
  for (size_t i = 0; i < bias.size(); ++i) y[i] += double{bias[i]};
  return y;
}

// The bound of a network follows from those of its products: with g, u the exact gate and up and
// dg, du their bounds, h = a(g) (u + 1 or 0) moves by at most dh = 1.2 dg (|u| + 1 + du) + |g| du
// (|a'| < 1.2, |a(g)| <= |g|), and some roundings of both factors, a square of u by twice its
// bound; y moves by sum |w| dh plus
// down's own bound. A bias adds one rounding.
void ExpectClose(const std::vector<float>& actual, const RandomFfn& ffn,
                 const std::vector<float>& input, const Format& format) {
  const int64_t hidden = ffn.gate.cols();
  const int64_t width = ffn.gate.rows();
  const std::vector<double> wg = ffn.gate.values();
  const std::vector<double> wu = ffn.up.values();
  const std::vector<double> wd = ffn.down.values();
  for (size_t row = 0; row < input.size() / static_cast<size_t>(hidden); ++row) {
    const auto first = input.begin() + static_cast<int64_t>(row) * hidden;
    const std::vector<double> x(first, first + hidden);
    const std::vector<double> g = PlusBias(ExactProduct(wg, width, hidden, x), ffn.gate_bias);
    const std::vector<double> u = PlusBias(ExactProduct(wu, width, hidden, x), ffn.up_bias);
    std::vector<double> h(g.size());
    std::vector<double> dh(g.size());
    std::vector<double> largest(g.size());
    for (size_t i = 0; i < h.size(); ++i) {
      const auto at = static_cast<int64_t>(i) * hidden;
      const double dg = ProductBound(x.data(), &wg[static_cast<size_t>(at)], hidden, format) +
                        kEpsilon * std::abs(g[i]);
      const double du = ProductBound(x.data(), &wu[static_cast<size_t>(at)], hidden, format) +
                        kEpsilon * std::abs(u[i]);
      h[i] = ReferenceActivation(ffn.activation, g[i], u[i]);
      const double factors = std::abs(g[i]) * (std::abs(u[i]) + 1);
      dh[i] = ffn.activation.function == Activation::kReluSquared
                  ? (2 * std::abs(u[i]) + du) * du + 2 * kEpsilon * std::abs(h[i])
                  : 1.2 * dg * (std::abs(u[i]) + 1 + du) + std::abs(g[i]) * du +
                        16 * kEpsilon * factors;
      largest[i] = std::abs(h[i]) + dh[i];
    }
    const std::vector<double> y = PlusBias(ExactProduct(wd, hidden, width, h), ffn.down_bias);
    for (size_t j = 0; j < y.size(); ++j) {
      const double* w = &wd[j * static_cast<size_t>(width)];
      double bound = ProductBound(largest.data(), w, width, format);
      for (size_t i = 0; i < dh.size(); ++i) bound += std::abs(w[i]) * dh[i];
      bound += kEpsilon * std::abs(y[j]);
      ASSERT_NEAR(actual[row * y.size() + j], y[j], bound) << "row " << row << " column " << j;
    }
  }
}

class FfnTest : public ConformanceTest {};

TEST_P(FfnTest, IsWithinTheBoundOfTheExactNetwork) {
  for (const Format& format : Formats()) {
    for (const auto& [hidden, width] : {std::pair<int64_t, int64_t>{64, 96}, {33, 17}, {40, 50}}) {
      for (const int64_t rows : {1, 29, 107}) {
        SCOPED_TRACE(format.name + " hidden " + std::to_string(hidden) + " width " +
                     std::to_string(width) + " rows " + std::to_string(rows));
        const RandomFfn random(format, hidden, width, 1);
        const FfnPtr ffn = random.Pack(*device_, format.format);
        const std::vector<float> input = Normal(rows * hidden, 7);
        const Tensor output = device_.Empty(rows, hidden);
        device_->Forward(*ffn, device_.Upload(input, hidden), output);
        ExpectClose(device_.Download(output), random, input, format);
      }
    }
  }
}

TEST_P(FfnTest, KnowsEveryActivationAndBiases) {
  constexpr ActivationParams kActivations[] = {{Activation::kSilu, 0},
                                               {Activation::kGeluTanh, 0},
                                               {Activation::kClampedSwiglu, 0.75f},
                                               {Activation::kClampedSilu, 0.75f},
                                               {Activation::kReluSquared, 0}};
  for (const Format& format : Formats()) {
    for (const ActivationParams& activation : kActivations) {
      for (const bool biases : {false, true}) {
        SCOPED_TRACE(format.name + " activation " +
                     std::to_string(static_cast<int>(activation.function)) + " biases " +
                     std::to_string(biases));
        RandomFfn random(format, 40, 50, 21);
        random.activation = activation;
        if (biases) random.AddBiases();
        const FfnPtr ffn = random.Pack(*device_, format.format);
        const std::vector<float> input = Normal(9 * 40, 22);
        const Tensor output = device_.Empty(9, 40);
        device_->Forward(*ffn, device_.Upload(input, 40), output);
        ExpectClose(device_.Download(output), random, input, format);
      }
    }
  }
}

// Which experts rows go to, and with which weights.
struct Assignment {
  std::string name;
  int64_t rows;
  std::vector<ExpertEntry> entries;  // slots index the experts of the test
};

std::vector<Assignment> Assignments(int experts) {
  std::vector<Assignment> all;
  std::mt19937 random(3);
  const auto weight = [&] { return static_cast<float>(random() % 64 + 1) / 32; };
  for (const auto& [rows, top_k] :
       {std::pair<int64_t, int>{1, 1}, {1, experts}, {23, 1}, {23, 2}, {61, experts}}) {
    Assignment assignment{
        "rows " + std::to_string(rows) + " top " + std::to_string(top_k), rows, {}};
    for (int64_t row = 0; row < rows; ++row) {
      const auto first = static_cast<int32_t>(random() % static_cast<unsigned>(experts));
      for (int j = 0; j < top_k; ++j)
        assignment.entries.push_back({(first + j) % experts, static_cast<int32_t>(row), weight()});
    }
    all.push_back(assignment);
  }
  all.push_back({"no row has an expert", 4, {}});
  all.push_back(
      {"some rows have none, one expert has all", 9, {{2, 1, 0.5f}, {2, 4, 2}, {2, 8, 1}}});
  all.push_back({"a row twice at one expert", 3, {{1, 2, 0.25f}, {1, 2, 0.5f}}});
  for (Assignment& assignment : all) {
    std::stable_sort(assignment.entries.begin(), assignment.entries.end(),
                     [](const ExpertEntry& a, const ExpertEntry& b) { return a.slot < b.slot; });
  }
  return all;
}

class ExpertsTest : public ConformanceTest {};

// An expert's weighted output is that of its network alone, added on the grid: totals are equal.
TEST_P(ExpertsTest, AddsUpWhatEachNetworkGivesByItself) {
  constexpr int kExperts = 5;
  for (const Format& format : Formats()) {
    if (GetParam().slow && format.source != SourceType::kF32) continue;
    for (const auto& [hidden, width] : {std::pair<int64_t, int64_t>{64, 96}, {33, 17}}) {
      if (GetParam().slow && hidden == 64) continue;
      std::vector<FfnPtr> experts;
      for (uint32_t e = 0; e < kExperts; ++e)
        experts.push_back(RandomFfn(format, hidden, width, 10 * e).Pack(*device_, format.format));
      for (const Assignment& assignment : Assignments(kExperts)) {
        SCOPED_TRACE(format.name + " hidden " + std::to_string(hidden) + ": " + assignment.name);
        const Tensor x = device_.Upload(Normal(assignment.rows * hidden, 8), hidden);
        std::vector<int32_t> exponents;
        for (int64_t row = 0; row < assignment.rows; ++row)
          exponents.push_back(-20 - static_cast<int32_t>(row % 5));
        const Grid grid = device_.UploadIds(exponents, 1);

        std::vector<ExpertGroup> groups;
        Totals expected = device_.Zeros(assignment.rows, hidden);
        for (size_t i = 0; i < assignment.entries.size(); ++i) {
          const ExpertEntry& entry = assignment.entries[i];
          const auto at = static_cast<int64_t>(i);
          if (i == 0 || assignment.entries[i - 1].slot != entry.slot)
            groups.push_back({experts[static_cast<size_t>(entry.slot)].get(), at, at});
          groups.back().end = at + 1;
          const Tensor one = device_.Empty(1, hidden);
          device_->Forward(*groups.back().ffn, x.Slice(entry.row, entry.row + 1), one);
          device_->Scale(one, entry.weight);
          device_->AddTerms(one, grid.Slice(entry.row, entry.row + 1),
                            expected.Slice(entry.row, entry.row + 1));
        }
        Totals totals = device_.Zeros(assignment.rows, hidden);
        device_->Experts(groups, assignment.entries, ExpertWeights::kOnOutput, x, grid, totals);
        const EncodedTotals actual = device_->Encode(totals);
        const EncodedTotals wanted = device_->Encode(expected);
        EXPECT_EQ(actual.type, wanted.type);
        EXPECT_EQ(actual.partial, wanted.partial);
      }
    }
  }
}

// Rows that are weighted before their expert, added to what the totals hold.
TEST_P(ExpertsTest, WeighsInputsWhereTheModelSaysSo) {
  const RandomFfn random(Formats()[0], 33, 17, 5);
  const FfnPtr ffn = random.Pack(*device_, WeightsFormat::kF32);
  const Tensor x = device_.Upload(Normal(2 * 33, 6), 33);
  const Grid grid = device_.UploadIds({-24, -21}, 1);
  const std::vector<ExpertEntry> entries = {{0, 0, 0.5f}, {0, 1, 1.5f}};
  const std::vector<ExpertGroup> groups = {{ffn.get(), 0, 2}};
  Totals expected = device_.Zeros(2, 33);
  Totals totals = device_.Zeros(2, 33);
  device_->AddTerms(x, grid, expected);
  device_->AddTerms(x, grid, totals);
  device_->Experts(groups, entries, ExpertWeights::kOnInput, x, grid, totals);
  for (const ExpertEntry& entry : entries)
    device_->Scale(x.Slice(entry.row, entry.row + 1), entry.weight);
  const Tensor y = device_.Empty(2, 33);
  device_->Forward(*ffn, x, y);
  device_->AddTerms(y, grid, expected);
  EXPECT_EQ(device_->Encode(totals).partial, device_->Encode(expected).partial);
}

CONCLAVE_CONFORMANCE(FfnTest);
CONCLAVE_CONFORMANCE(ExpertsTest);

}  // namespace
}  // namespace conclave
