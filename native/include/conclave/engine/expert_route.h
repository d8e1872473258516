#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace conclave {

// ExpertRoute in native.ts.
struct ExpertRoute {
  int slices = 1;
  std::vector<int32_t> offsets;  // [experts * slices + 1]
  std::vector<int32_t> targets;
  std::vector<float> shares;
};

// What an expert is cut into at most, so that tables of its slices stay small.
constexpr int kMaxSlices = 1024;

// Targets with a meaning of their own.
constexpr int32_t kLocalTarget = 0;
constexpr int32_t kNoTarget = -1;

// One route per layer of a stage; layers without experts have an empty one.
using ExpertRoutes = std::vector<std::shared_ptr<const ExpertRoute>>;

// Every expert whole in the stage's own bank.
ExpertRoute LocalRoute(int experts);

// Throws kInvalidArgument unless the route is one for `experts` experts.
void ValidateRoute(const ExpertRoute& route, int experts);

// Picks a target for each slice of each expert that has rows; rows[e] is the number of rows of
// logical expert e. Entry e * slices + s of the result is meaningless where rows[e] is 0. The same
// input gives the same choice everywhere.
std::vector<int32_t> ChooseTargets(const ExpertRoute& route, std::span<const int32_t> rows);

}  // namespace conclave
