#include "configurations.h"

#include <algorithm>

namespace conclave {
namespace {

constexpr size_t kMaxConfigs = 16384;
constexpr size_t kMaxMembers = 1024;
constexpr size_t kMaxNodes = size_t{1} << 18;

uint64_t KeyOf(int32_t high, int32_t low) {
  return uint64_t{static_cast<uint32_t>(high)} << 32 | static_cast<uint32_t>(low);
}

uint64_t HashOf(const std::vector<Member>& members) {
  uint64_t hash = 14695981039346656037u;
  for (const auto& [state, node] : members) hash = (hash ^ KeyOf(state, node)) * 1099511628211u;
  return hash;
}

}  // namespace

Configurations::Configurations(const GrammarTables& tables)
    : tables_(tables), string_states_(tables) {}

template <typename Visit>
void Configurations::EachEdge(int32_t state, const Visit& visit) const {
  const auto at = static_cast<size_t>(state);
  for (auto edge = static_cast<size_t>(tables_.edge_offsets[at]);
       edge < static_cast<size_t>(tables_.edge_offsets[at + 1]); ++edge) {
    visit(static_cast<EdgeKind>(tables_.edges[edge * 3]), tables_.edges[edge * 3 + 1],
          tables_.edges[edge * 3 + 2]);
  }
}

bool Configurations::OnlyEnds(int32_t state) const {
  const auto at = static_cast<size_t>(state);
  return tables_.final[at] != 0 && tables_.edge_offsets[at] == tables_.edge_offsets[at + 1];
}

int32_t Configurations::Push(int32_t state, int32_t below) {
  const auto [found, added] =
      node_of_.try_emplace(KeyOf(state, below), static_cast<int32_t>(nodes_.size()));
  if (!added) return found->second;
  if (nodes_.size() >= kMaxNodes) throw TooManyConfigurations();
  nodes_.push_back({state, below});
  return found->second;
}

std::vector<int32_t> Configurations::FramesOf(int32_t node) const {
  std::vector<int32_t> frames;
  for (; node != 0; node = nodes_[static_cast<size_t>(node)].second)
    frames.push_back(nodes_[static_cast<size_t>(node)].first);
  std::reverse(frames.begin(), frames.end());
  return frames;
}

int32_t Configurations::Of(int32_t state) {
  const auto found = of_state_.find(state);
  if (found != of_state_.end()) return found->second;
  return of_state_[state] = Intern({{state, 0}});
}

int32_t Configurations::Intern(std::vector<Member> kernel) {
  std::sort(kernel.begin(), kernel.end());
  kernel.erase(std::unique(kernel.begin(), kernel.end()), kernel.end());
  const uint64_t hash = HashOf(kernel);
  const auto [first, last] = config_of_.equal_range(hash);
  for (auto i = first; i != last; ++i) {
    if (configs_[static_cast<size_t>(i->second)].kernel == kernel) return i->second;
  }
  if (configs_.size() >= kMaxConfigs) throw TooManyConfigurations();
  Config config{std::move(kernel), {}, {}, false, 0, {}};
  config.next.fill(kUnknown);
  if (config.kernel.size() == 1 && config.kernel.front().second == 0) {
    const StringState* string = string_states_.Find(config.kernel.front().first);
    if (string != nullptr) config.string = *string;
  }
  Close(config);
  configs_.push_back(std::move(config));
  const auto id = static_cast<int32_t>(configs_.size() - 1);
  config_of_.emplace(hash, id);
  return id;
}

void Configurations::Close(Config& config) {
  std::vector<Member> open = config.kernel;
  std::unordered_map<uint64_t, bool> seen;
  while (!open.empty()) {
    const auto [state, node] = open.back();
    open.pop_back();
    if (!seen.try_emplace(KeyOf(state, node), true).second) continue;
    if (seen.size() > kMaxMembers) throw TooManyConfigurations();
    bool takes = false;
    EachEdge(state, [&](EdgeKind kind, int32_t value, int32_t next) {
      takes = takes || kind != EdgeKind::kRule;
      if (kind != EdgeKind::kRule) return;
      // A call that is the last of its rule returns to where the rule returns to.
      open.push_back(
          {tables_.rules[static_cast<size_t>(value)], OnlyEnds(next) ? node : Push(next, node)});
    });
    if (takes) config.closed.push_back({state, node});
    config.plain = std::max(config.plain, tables_.plain_runs[static_cast<size_t>(state)]);
    if (tables_.final[static_cast<size_t>(state)] == 0) continue;
    if (node == 0) {
      config.pops = true;
    } else {
      open.push_back(nodes_[static_cast<size_t>(node)]);
    }
  }
}

int32_t Configurations::Compute(int32_t config, uint8_t byte) {
  std::vector<Place> places;
  // Bytes that lead on as this one does, between the ends of edges: they are not computed again.
  int32_t first = 0;
  int32_t last = 255;
  for (const auto& [state, node] : configs_[static_cast<size_t>(config)].closed) {
    EachEdge(state, [&](EdgeKind kind, int32_t value, int32_t next) {
      if (kind != EdgeKind::kBytes) return;
      const int32_t least = value % 256;
      const int32_t most = value / 256;
      if (byte < least) {
        last = std::min(last, least - 1);
      } else if (byte > most) {
        first = std::max(first, most + 1);
      } else {
        first = std::max(first, least);
        last = std::min(last, most);
        places.push_back({next, FramesOf(node)});
      }
    });
  }
  int32_t id = kDead;
  if (!places.empty()) {
    const Transition transition = Join(places);
    id = static_cast<int32_t>(transitions_.size());
    transitions_.push_back(transition);
  }
  auto& next = configs_[static_cast<size_t>(config)].next;
  std::fill(next.begin() + first, next.begin() + last + 1, id);
  return id;
}

Transition Configurations::NextToken(int32_t config, int32_t token) {
  std::vector<Place> places;
  for (const auto& [state, node] : configs_[static_cast<size_t>(config)].closed) {
    EachEdge(state, [&](EdgeKind kind, int32_t value, int32_t next) {
      if (kind == EdgeKind::kToken && value == token) places.push_back({next, FramesOf(node)});
    });
  }
  return places.empty() ? Transition{kDead, 0, 0} : Join(places);
}

std::vector<int32_t> Configurations::Tokens(int32_t config) const {
  std::vector<int32_t> tokens;
  for (const auto& [state, node] : configs_[static_cast<size_t>(config)].closed) {
    EachEdge(state, [&](EdgeKind kind, int32_t value, int32_t) {
      if (kind == EdgeKind::kToken) tokens.push_back(value);
    });
  }
  return tokens;
}

std::vector<Configurations::Place> Configurations::Places(int32_t config) const {
  std::vector<Place> places;
  for (const auto& [state, node] : configs_[static_cast<size_t>(config)].kernel)
    places.push_back({state, FramesOf(node)});
  return places;
}

Transition Configurations::Join(const std::vector<Place>& places) {
  size_t shared = places.front().frames.size();
  for (const Place& place : places) {
    const auto& first = places.front().frames;
    const auto end = first.begin() + static_cast<int64_t>(std::min(shared, place.frames.size()));
    shared = static_cast<size_t>(std::mismatch(first.begin(), end, place.frames.begin()).first -
                                 first.begin());
  }
  std::vector<Member> kernel;
  for (const Place& place : places) {
    int32_t node = 0;
    for (size_t i = shared; i < place.frames.size(); ++i) node = Push(place.frames[i], node);
    kernel.push_back({place.state, node});
  }
  if (frames_.size() + shared > kMaxNodes * 4) throw TooManyConfigurations();
  const auto begin = static_cast<int32_t>(frames_.size());
  const auto& frames = places.front().frames;
  frames_.insert(frames_.end(), frames.begin(), frames.begin() + static_cast<int64_t>(shared));
  return {Intern(std::move(kernel)), begin, static_cast<int32_t>(frames_.size())};
}

}  // namespace conclave
