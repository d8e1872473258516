// Operations that go through each sequence row by row, with a state.

#include <algorithm>

#include "conclave/backend/host_states.h"
#include "conclave/base/parallel_rows.h"
#include "kernels/cpu/backend.h"

namespace conclave {
namespace {

// Elements of a state that one thread takes through all rows of a sequence.
constexpr int64_t kPiece = 256;

}  // namespace

void CpuBackend::RunningSum(const Tensor& x, const StepRows& where, StateStore& states,
                            const Tensor& output) {
  auto& host = static_cast<HostStates&>(states);
  const auto& offsets = where.where().sequence_offsets;
  const auto& slots = where.where().state_slots;
  const int64_t width = x.width;
  const int64_t pieces = (width + kPiece - 1) / kPiece;
  const auto tasks = static_cast<int64_t>(slots.size()) * pieces;
  ParallelRows(pool(), tasks, x.elements() / tasks, [&](int64_t first, int64_t end) {
    for (int64_t task = first; task < end; ++task) {
      const auto sequence = static_cast<size_t>(task / pieces);
      const int64_t from = task % pieces * kPiece;
      const int64_t count = std::min(kPiece, width - from);
      float* const state = host.Slot(slots[sequence]) + from;
      for (int64_t row = offsets[sequence]; row < offsets[sequence + 1]; ++row) {
        const float* const in = HostPointer(x) + row * width + from;
        float* const out = HostPointer(output) + row * width + from;
        for (int64_t i = 0; i < count; ++i) {
          state[i] += in[i];
          out[i] = state[i];
        }
      }
    }
  });
}

}  // namespace conclave
