#include "conclave/engine/dispatch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "base/expect_error.h"
#include "conclave/engine/expert_route.h"
#include "kernels/cpu/exact_sum/exact_sum.h"

namespace conclave {
namespace {

ExpertRoute Route(int slices, const std::vector<std::vector<int32_t>>& replicas,
                  std::vector<float> shares = {}) {
  ExpertRoute route;
  route.slices = slices;
  route.offsets = {0};
  for (const auto& targets : replicas) {
    route.targets.insert(route.targets.end(), targets.begin(), targets.end());
    route.offsets.push_back(static_cast<int32_t>(route.targets.size()));
  }
  route.shares =
      shares.empty() ? std::vector<float>(route.targets.size(), 1.0f) : std::move(shares);
  return route;
}

using Targets = std::vector<int32_t>;

TEST(ChooseTargets, HasNoChoiceAmongOneReplica) {
  EXPECT_EQ(ChooseTargets(Route(1, {{0}, {3}, {}}), Targets{5, 1, 2}), (Targets{0, 3, kNoTarget}));
}

TEST(ChooseTargets, GivesTheLargestGroupsToTheLeastLoadedFirst) {
  // 9 to target 1 (first of equals), 8 to target 2, 3 to target 2 (11 against 12), 2 to target 1
  // (11 against 13).
  EXPECT_EQ(ChooseTargets(Route(1, {{1, 2}, {1, 2}, {1, 2}, {1, 2}}), Targets{3, 9, 2, 8}),
            (Targets{2, 1, 1, 2}));
}

TEST(ChooseTargets, CountsGroupsWithoutAChoiceFirst) {
  EXPECT_EQ(ChooseTargets(Route(1, {{1, 2}, {1}}), Targets{9, 4}), (Targets{2, 1}));
}

TEST(ChooseTargets, WeighsLoadByShare) {
  // Target 2 has three times the capacity: 12 / 3 against 12 / 1, then 16 / 3 against 4 / 1.
  const ExpertRoute route = Route(1, {{1, 2}, {1, 2}}, {1, 3, 1, 3});
  EXPECT_EQ(ChooseTargets(route, Targets{12, 4}), (Targets{2, 1}));
}

TEST(ChooseTargets, SlicesOfAnExpertChooseByThemselves) {
  EXPECT_EQ(ChooseTargets(Route(2, {{1, 2}, {1, 2}}), Targets{4}), (Targets{1, 2}));
}

TEST(ChooseTargets, IsBalancedAndNamesReplicasOnly) {
  std::mt19937 random(4);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::vector<int32_t>> replicas;
    Targets rows;
    for (int e = 0; e < 32; ++e) {
      replicas.push_back(
          {static_cast<int32_t>(random() % 4), static_cast<int32_t>(4 + random() % 4)});
      rows.push_back(static_cast<int32_t>(random() % 20));
    }
    const ExpertRoute route = Route(1, replicas);
    const Targets chosen = ChooseTargets(route, rows);
    EXPECT_EQ(ChooseTargets(route, rows), chosen);
    for (size_t e = 0; e < rows.size(); ++e) {
      if (rows[e] > 0) {
        EXPECT_TRUE(chosen[e] == replicas[e][0] || chosen[e] == replicas[e][1]);
      }
    }
  }
}

TEST(RouteEntries, SendsNoRowToExpertsThatGiveWhatTheyRead) {
  // Of experts 0 and 1, and two more that have no weights.
  const std::vector<int32_t> ids = {3, 0, 2, 3, 1, 0};
  const std::vector<float> weights = {0.5f, 0.25f, 0.125f, 0.5f, 1, 2};
  const RoutedEntries routed = RouteEntries(Route(1, {{0}, {5}}), 2, ids, weights, 3, 2);
  EXPECT_EQ(routed.identity, (std::vector<float>{0.5f, 0.625f, 0}));
  ASSERT_EQ(routed.local.size(), 2U);
  EXPECT_EQ(routed.local[0].row, 0);
  EXPECT_EQ(routed.local[1].row, 2);
  ASSERT_EQ(routed.remote.size(), 1U);
  ASSERT_EQ(routed.remote[0].entries.size(), 1U);
  EXPECT_EQ(routed.remote[0].entries[0].row, 2);
  EXPECT_EQ(routed.remote[0].entries[0].weight, 1);
}

// Every row's experts are addressed once, to a replica, with the gate's weight; rows are ascending
// and not repeated.
TEST(BuildDispatches, AddressesEveryExpertOfEveryRowOnce) {
  std::mt19937 random(9);
  constexpr int kExperts = 8;
  constexpr int64_t kHidden = 4;
  for (int round = 0; round < 200; ++round) {
    const int slices = 1 + static_cast<int>(random() % 2);
    const int64_t rows = 1 + static_cast<int64_t>(random() % 12);
    const int64_t top_k = 1 + static_cast<int64_t>(random() % 3);
    std::vector<std::vector<int32_t>> replicas;
    for (int slot = 0; slot < kExperts * slices; ++slot) {
      std::vector<int32_t> targets;
      for (int32_t target = 0; target < 4; ++target) {
        if (random() % 2 == 0) targets.push_back(target);
      }
      replicas.push_back(targets);
    }
    std::vector<int32_t> ids;
    std::vector<float> weights;
    for (int64_t r = 0; r < rows; ++r) {
      const auto first = static_cast<int32_t>(random() % kExperts);
      for (int64_t j = 0; j < top_k; ++j) {
        ids.push_back(static_cast<int32_t>((first + 3 * j) % kExperts));
        weights.push_back(static_cast<float>(r + 1) / static_cast<float>(j + 1));
      }
    }
    std::vector<float> input(static_cast<size_t>(rows * kHidden));
    for (size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(i);
    std::vector<int32_t> grid;
    for (int32_t r = 0; r < static_cast<int32_t>(rows); ++r) grid.push_back(-20 - r);
    const RoutedEntries routed =
        RouteEntries(Route(slices, replicas), kExperts, ids, weights, rows, top_k);
    const std::vector<int32_t> ranks =
        round % 2 == 0 ? std::vector<int32_t>{2, 7} : std::vector<int32_t>{};
    const std::vector<Dispatch> dispatches = BuildDispatches(
        {3,
         rows,
         ActivationType::kF32,
         {reinterpret_cast<const uint8_t*>(input.data()), input.size() * sizeof(float)},
         grid},
        ranks, true, routed);

    std::map<std::pair<int32_t, int32_t>, float> addressed;  // (row, slot) -> weight
    const auto address = [&](int32_t target, int32_t row, int32_t slot, float weight) {
      const auto& allowed = replicas[static_cast<size_t>(slot)];
      EXPECT_TRUE(std::find(allowed.begin(), allowed.end(), target) != allowed.end() ||
                  (allowed.empty() && target == -1));
      EXPECT_TRUE(addressed.emplace(std::pair(row, slot), weight).second)
          << "row " << row << " slot " << slot << " twice";
    };
    for (const ExpertEntry& entry : routed.local) address(0, entry.row, entry.slot, entry.weight);
    int32_t last_target = std::numeric_limits<int32_t>::min();
    for (const Dispatch& dispatch : dispatches) {
      EXPECT_GT(dispatch.target, last_target);
      last_target = dispatch.target;
      const bool rank = std::find(ranks.begin(), ranks.end(), dispatch.target) != ranks.end();
      EXPECT_EQ(dispatch.dense, rank);
      if (rank) {
        EXPECT_EQ(static_cast<int64_t>(dispatch.row_indices.size()), rows);
      }
      const ExpertRows& experts = dispatch.experts;
      ASSERT_EQ(experts.row_count, static_cast<int64_t>(dispatch.row_indices.size()));
      ASSERT_EQ(experts.topk_ids.size(), static_cast<size_t>(experts.row_count * experts.top_k));
      for (size_t i = 0; i < dispatch.row_indices.size(); ++i) {
        if (i > 0) {
          EXPECT_GT(dispatch.row_indices[i], dispatch.row_indices[i - 1]);
        }
        float first = 0;
        DecodeActivations(ActivationType::kF32, experts.rows.data() + i * kHidden * 4, 1, &first);
        EXPECT_EQ(first, static_cast<float>(dispatch.row_indices[i] * kHidden));
        EXPECT_EQ(experts.grid.at(i), -20 - dispatch.row_indices[i]);
        for (int64_t j = 0; j < experts.top_k; ++j) {
          const size_t entry = i * static_cast<size_t>(experts.top_k) + static_cast<size_t>(j);
          if (experts.topk_ids[entry] < 0) continue;
          address(dispatch.target, dispatch.row_indices[i], experts.topk_ids[entry],
                  experts.topk_weights[entry]);
        }
      }
    }
    EXPECT_EQ(addressed.size(), static_cast<size_t>(rows * top_k * slices));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < top_k; ++j) {
        for (int s = 0; s < slices; ++s) {
          const auto key = std::pair(static_cast<int32_t>(r),
                                     ids[static_cast<size_t>(r * top_k + j)] * slices + s);
          EXPECT_EQ(addressed.at(key), weights[static_cast<size_t>(r * top_k + j)]);
        }
      }
    }
  }
}

PartialSum Partial(std::vector<int32_t> rows, const std::vector<double>& totals,
                   PartialType type = PartialType::kI24) {
  PartialSum partial{std::move(rows), type, {}};
  partial.partial.resize(totals.size() * PartialBytes(type));
  EncodeTotals(Isa::kPortable, type, totals.data(), static_cast<int64_t>(totals.size()),
               partial.partial.data());
  return partial;
}

TEST(CheckPartials, FindsEveryKindOfNonFiniteValue) {
  constexpr int64_t kHidden = 37;
  const std::vector<int32_t> expected{1, 1};
  const std::vector<double> good(2 * kHidden, -1e300);
  const PartialSum first = Partial({0, 1}, good, PartialType::kF64);
  EXPECT_NO_THROW(CheckPartials(std::vector{first}, expected, 2, kHidden));
  for (const double bad : {double{NAN}, -double{NAN}, HUGE_VAL, -HUGE_VAL}) {
    for (size_t at = 0; at < good.size(); ++at) {
      std::vector<double> totals = good;
      totals[at] = bad;
      const std::vector<PartialSum> partials{first, Partial({0, 1}, totals, PartialType::kF64)};
      const std::string row = std::to_string(at / kHidden);
      ExpectError(ErrorCode::kNonFinite, "partials[1].partial: row " + row,
                  [&] { CheckPartials(partials, expected, 2, kHidden); });
    }
  }
}

TEST(CheckPartials, WantsTheBytesOfItsType) {
  const std::vector<int32_t> expected{1};
  PartialSum partial = Partial({0}, {1, 2});
  EXPECT_NO_THROW(CheckPartials(std::vector{partial}, expected, 1, 2));
  partial.type = PartialType::kI32;
  ExpectError(ErrorCode::kInvalidArgument,
              "partials[0].partial: expected 8 bytes for [1, 2], got 6",
              [&] { CheckPartials(std::vector{partial}, expected, 1, 2); });
}

TEST(CheckPartials, WantsAnAnswerForEveryDispatchOfARow) {
  const std::vector<int32_t> expected{2, 0, 1};
  const PartialSum both = Partial({0, 2}, {1, 2, 3, 4});
  const PartialSum first = Partial({0}, {1, 2});
  EXPECT_NO_THROW(CheckPartials(std::vector{both, first}, expected, 3, 2));
  ExpectError(ErrorCode::kInvalidArgument,
              "row 0 of the batch was dispatched 2 times and is answered 1 times",
              [&] { CheckPartials(std::vector{both}, expected, 3, 2); });
}

}  // namespace
}  // namespace conclave
