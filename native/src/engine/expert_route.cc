// Balancing: slices with one replica have no choice and count as load first. The others go, largest
// group of rows first, to the replica whose load after it would be least in proportion to its
// share. Ties go to the lower slice and the earlier replica.

#include "conclave/engine/expert_route.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "conclave/base/message.h"

namespace conclave {

ExpertRoute LocalRoute(int experts) {
  ExpertRoute route;
  for (int32_t e = 0; e <= experts; ++e) route.offsets.push_back(e);
  route.targets.assign(static_cast<size_t>(experts), kLocalTarget);
  route.shares.assign(static_cast<size_t>(experts), 1.0f);
  return route;
}

void ValidateRoute(const ExpertRoute& route, int experts) {
  if (route.slices < 1 || route.slices > kMaxSlices) {
    Fail(ErrorCode::kInvalidArgument, "route.slices: expected 1 to ", kMaxSlices, ", got ",
         route.slices);
  }
  const size_t expected = static_cast<size_t>(experts) * static_cast<size_t>(route.slices) + 1;
  if (route.offsets.size() != expected) {
    Fail(ErrorCode::kInvalidArgument, "route.offsets: expected ", expected, " entries (", experts,
         " experts of ", route.slices, " slices, and one), got ", route.offsets.size());
  }
  if (route.shares.size() != route.targets.size()) {
    Fail(ErrorCode::kInvalidArgument, "route.shares: expected ", route.targets.size(),
         " entries, one per target, got ", route.shares.size());
  }
  for (size_t i = 0; i < expected; ++i) {
    const int32_t least = i == 0 ? 0 : route.offsets[i - 1];
    if (route.offsets[i] < least || static_cast<size_t>(route.offsets[i]) > route.targets.size() ||
        (i == 0 && route.offsets[i] != 0)) {
      Fail(ErrorCode::kInvalidArgument, "route.offsets[", i, "]: expected ", least, " to ",
           route.targets.size(), ", got ", route.offsets[i]);
    }
  }
  if (static_cast<size_t>(route.offsets.back()) != route.targets.size()) {
    Fail(ErrorCode::kInvalidArgument, "route.offsets[", expected - 1, "]: expected ",
         route.targets.size(), ", got ", route.offsets.back());
  }
  for (size_t i = 0; i < route.targets.size(); ++i) {
    if (route.targets[i] < 0) {
      Fail(ErrorCode::kInvalidArgument, "route.targets[", i, "]: expected 0 or more, got ",
           route.targets[i]);
    }
    if (!std::isfinite(route.shares[i]) || route.shares[i] <= 0) {
      Fail(ErrorCode::kInvalidArgument, "route.shares[", i,
           "]: expected a finite number above 0, got ", route.shares[i]);
    }
  }
}

std::vector<int32_t> ChooseTargets(const ExpertRoute& route, std::span<const int32_t> rows) {
  const size_t slots = route.offsets.size() - 1;
  std::vector<int32_t> chosen(slots, kNoTarget);
  std::unordered_map<int32_t, double> load;  // rows by target
  std::vector<size_t> free;
  for (size_t slot = 0; slot < slots; ++slot) {
    const int32_t count = rows[slot / static_cast<size_t>(route.slices)];
    const int32_t replicas = route.offsets[slot + 1] - route.offsets[slot];
    if (count == 0 || replicas == 0) continue;
    if (replicas == 1) {
      chosen[slot] = route.targets[route.offsets[slot]];
      load[chosen[slot]] += count;
    } else {
      free.push_back(slot);
    }
  }
  const auto group = [&](size_t slot) { return rows[slot / static_cast<size_t>(route.slices)]; };
  std::stable_sort(free.begin(), free.end(),
                   [&](size_t a, size_t b) { return group(a) > group(b); });
  for (const size_t slot : free) {
    int32_t best = route.offsets[slot];
    double least = 0;
    for (int32_t i = route.offsets[slot]; i < route.offsets[slot + 1]; ++i) {
      const double after = (load[route.targets[i]] + group(slot)) / route.shares[i];
      if (i == route.offsets[slot] || after < least) {
        best = i;
        least = after;
      }
    }
    chosen[slot] = route.targets[best];
    load[chosen[slot]] += group(slot);
  }
  return chosen;
}

}  // namespace conclave
