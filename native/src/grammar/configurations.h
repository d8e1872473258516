#pragma once

#include <array>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "conclave/grammar/grammar.h"
#include "strings/string_states.h"

namespace conclave {

// A grammar that needs more configurations than are kept.
struct TooManyConfigurations : std::exception {
  const char* what() const noexcept override { return "the grammar has too many configurations"; }
};

// A state, and the states to return to when its rule ends: a node of RelativeStacks; 0: none.
using Member = std::pair<int32_t, int32_t>;

// What follows a configuration: another one, above frames that all its members share.
struct Transition {
  int32_t config;
  int32_t frames_begin;
  int32_t frames_end;
};

// The pushdown automaton of a grammar, made deterministic as far as texts need it. A configuration
// is the set of places in which the grammar may be; what all of them have below is not part of it,
// but on the stack of whoever walks. So there are few, however deep texts nest, and what follows
// each byte is remembered.
class Configurations {
 public:
  static constexpr int32_t kDead = -1;

  explicit Configurations(const GrammarTables& tables);

  // The configuration of one state and nothing else.
  int32_t Of(int32_t state);
  int32_t start() { return Of(tables_.rules[0]); }
  // Null when nothing of the configuration takes the byte.
  const Transition* Next(int32_t config, uint8_t byte) {
    int32_t next = configs_[static_cast<size_t>(config)].next[byte];
    if (next == kUnknown) next = Compute(config, byte);
    return next == kDead ? nullptr : &transitions_[static_cast<size_t>(next)];
  }
  // The same for a special token; not remembered.
  Transition NextToken(int32_t config, int32_t token);
  // Whether the rule at the bottom may end here: the frame below goes on.
  bool pops(int32_t config) const { return configs_[static_cast<size_t>(config)].pops; }
  bool only_pops(int32_t config) const {
    return pops(config) && configs_[static_cast<size_t>(config)].closed.empty();
  }
  // How the configuration is within a JSON string; null where it is not, or not there alone.
  const StringState* InString(int32_t config) const {
    const auto& string = configs_[static_cast<size_t>(config)].string;
    return string.has_value() ? &*string : nullptr;
  }
  size_t bytes() const { return configs_.size() * sizeof(Config); }
  int32_t plain_run(int32_t config) const { return configs_[static_cast<size_t>(config)].plain; }
  std::span<const int32_t> frames(const Transition& transition) const {
    return std::span(frames_).subspan(
        static_cast<size_t>(transition.frames_begin),
        static_cast<size_t>(transition.frames_end - transition.frames_begin));
  }
  // Special tokens that may come next.
  std::vector<int32_t> Tokens(int32_t config) const;

  // A place: a state below frames, bottom first.
  struct Place {
    int32_t state;
    std::vector<int32_t> frames;
  };
  std::vector<Place> Places(int32_t config) const;
  // The configuration of places; what all have below comes as the transition's frames.
  Transition Join(const std::vector<Place>& places);

 private:
  static constexpr int32_t kUnknown = -2;
  struct Config {
    std::vector<Member> kernel;
    std::vector<Member> closed;
    std::array<int32_t, 256> next;
    bool pops;
    int32_t plain;
    std::optional<StringState> string;
  };

  int32_t Compute(int32_t config, uint8_t byte);
  int32_t Intern(std::vector<Member> kernel);
  void Close(Config& config);
  // The node of a frame above another node.
  int32_t Push(int32_t state, int32_t below);
  std::vector<int32_t> FramesOf(int32_t node) const;
  template <typename Visit>
  void EachEdge(int32_t state, const Visit& visit) const;
  bool OnlyEnds(int32_t state) const;

  const GrammarTables& tables_;
  StringStates string_states_;
  std::vector<Config> configs_;
  std::vector<Transition> transitions_;
  std::vector<int32_t> frames_;
  std::vector<Member> nodes_ = {{-1, -1}};  // of relative stacks: state, node below
  std::unordered_map<uint64_t, int32_t> node_of_;
  std::unordered_map<int32_t, int32_t> of_state_;
  std::unordered_multimap<uint64_t, int32_t> config_of_;  // by hash of its kernel
};

}  // namespace conclave
