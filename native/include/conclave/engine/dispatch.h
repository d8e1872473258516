#pragma once

// Which rows of a layer go where, and the adding up of what comes back.

#include <cstdint>
#include <span>
#include <vector>

#include "conclave/engine/expert_route.h"
#include "conclave/engine/step.h"

namespace conclave {

// Rows of a layer's input as dispatches carry them.
struct DispatchInput {
  int layer;
  int64_t rows;
  ActivationType type;
  std::span<const uint8_t> input;  // [rows, hidden]
  std::span<const int32_t> grid;   // [rows]
};

// The experts of rows, by target.
struct RoutedEntries {
  int slices = 1;
  std::vector<ExpertEntry> local;
  struct Remote {
    int32_t target;
    std::vector<ExpertEntry> entries;  // ascending rows, then slots
  };
  std::vector<Remote> remote;  // ascending targets
  // Of each row: the weights of picked experts that give what they read, added up. Empty: none is.
  std::vector<float> identity;
};

// Expands the gate's choice, ids and weights [rows, top_k], by slices and splits it by target. Ids
// from `experts` on are of experts that give what they read.
RoutedEntries RouteEntries(const ExpertRoute& route, int experts, std::span<const int32_t> ids,
                           std::span<const float> weights, int64_t rows, int64_t top_k);

// One dispatch per target: every row for the rank targets (`dense` says whether their dense slices
// run), and the rows that need experts of the others. Ascending targets.
std::vector<Dispatch> BuildDispatches(const DispatchInput& input,
                                      std::span<const int32_t> rank_targets, bool dense,
                                      const RoutedEntries& routed);

// How many dispatches name each row.
std::vector<int32_t> CountAnswers(std::span<const Dispatch> dispatches, int64_t rows);

// Throws kInvalidArgument for a partial sum of the wrong shape or for a row that lacks an answer,
// kNonFinite naming the partial sum that holds a NaN or an infinity.
void CheckPartials(std::span<const PartialSum> partials, std::span<const int32_t> expected,
                   int64_t rows, int64_t hidden);

}  // namespace conclave
