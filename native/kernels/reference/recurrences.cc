#include "conclave/backend/host_states.h"
#include "kernels/reference/backend.h"

namespace conclave {

void ReferenceBackend::RunningSum(const Tensor& x, const StepRows& rows, StateStore& states,
                                  const Tensor& output) {
  const SequenceRows& where = rows.where();
  for (size_t s = 0; s < where.state_slots.size(); ++s) {
    float* const state = static_cast<HostStates&>(states).Slot(where.state_slots[s]);
    for (int64_t row = where.sequence_offsets[s]; row < where.sequence_offsets[s + 1]; ++row) {
      for (int64_t i = 0; i < x.width; ++i) {
        state[i] = static_cast<float>(double{state[i]} + double{HostPointer(x)[row * x.width + i]});
        HostPointer(output)[row * x.width + i] = state[i];
      }
    }
  }
}

}  // namespace conclave
