#include "conclave/engine/operators/recurrent/fixed_states.h"

#include "conclave/base/message.h"

namespace conclave {

FixedStates::FixedStates(const Backend& backend, const FixedCacheSpec& spec, const Share& share,
                         const CacheOptions& cache) {
  if (cache.state_slots < 1) {
    Fail(ErrorCode::kInvalidArgument,
         "stateSlots: expected at least 1 for layers that keep states of sequences, got ",
         cache.state_slots);
  }
  for (const StateSpec& state : spec.states) {
    shapes_.push_back({cache.state_slots, share.Heads(state.heads).size() * state.elements});
    bytes_ += backend.StateBytes(shapes_.back());
  }
}

void FixedStates::Take(Backend& backend) {
  for (const StateShape& shape : shapes_) stores_.push_back(backend.CreateStates(shape));
  next_.assign(static_cast<size_t>(shapes_.front().slots), 0);
}

void FixedStates::Enter(Backend& backend, const SequenceRows& where) {
  std::vector<int32_t> begun;
  for (size_t s = 0; s < where.state_slots.size(); ++s) {
    const int32_t slot = where.state_slots[s];
    const int32_t row = where.sequence_offsets[s];
    const int32_t position = where.positions[row];
    if (position == 0) {
      begun.push_back(slot);
    } else if (position != next_[slot]) {
      Fail(ErrorCode::kInvalidArgument, "positions[", row, "]: expected 0 or ", next_[slot],
           ", which the state in slot ", slot, " waits for, got ", position);
    }
  }
  for (size_t s = 0; s < where.state_slots.size(); ++s)
    next_[where.state_slots[s]] = where.positions[where.sequence_offsets[s + 1] - 1] + 1;
  if (begun.empty()) return;
  for (const auto& store : stores_) backend.ClearStates(begun, *store);
}

}  // namespace conclave
