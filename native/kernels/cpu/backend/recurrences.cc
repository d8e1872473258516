// Operations that go through each sequence row by row, with a state.

#include <algorithm>

#include "conclave/backend/host_states.h"
#include "conclave/base/exponential.h"
#include "conclave/base/parallel_rows.h"
#include "kernels/cpu/backend.h"
#include "kernels/cpu/linear_attention/linear_attention.h"

namespace conclave {
namespace {

// Elements of a state that one thread takes through all rows of a sequence.
constexpr int64_t kPiece = 256;

// Columns [from, from + count) of a convolution over the rows of one sequence, of which `kept` come
// before the first: those are in the state, and the last ones are there when it returns.
struct ConvolutionPiece {
  const float* x;  // of its rows, `width` apart, and columns
  float* output;
  float* state;
  const float* taps;
  const float* bias;  // null: none
  bool silu;
  int64_t rows;
  int64_t width;
  int64_t kept;
  int64_t count;

  const float* Row(int64_t row) const {
    return row < 0 ? state + (kept + row) * width : x + row * width;
  }

  void Run() const {
    for (int64_t row = 0; row < rows; ++row) {
      float sums[kPiece];
      for (int64_t i = 0; i < count; ++i) sums[i] = bias != nullptr ? bias[i] : 0;
      for (int64_t tap = 0; tap <= kept; ++tap) {
        const float* const in = Row(row - kept + tap);
        const float* const by = taps + tap * width;
        for (int64_t i = 0; i < count; ++i) sums[i] += by[i] * in[i];
      }
      float* const out = output + row * width;
      if (silu) {
        for (int64_t i = 0; i < count; ++i) out[i] = sums[i] / (1 + Exp(-sums[i]));
      } else {
        std::copy_n(sums, count, out);
      }
    }
    // From the oldest on: each is read before it is written over.
    for (int64_t row = 0; row < kept; ++row)
      std::copy_n(Row(rows - kept + row), count, state + row * width);
  }
};

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

void CpuBackend::Convolve(const Tensor& x, const Vector& taps, const Vector* bias, bool silu,
                          const StepRows& where, StateStore& states, const Tensor& output) {
  auto& host = static_cast<HostStates&>(states);
  const auto& offsets = where.where().sequence_offsets;
  const auto& slots = where.where().state_slots;
  const int64_t width = x.width;
  const int64_t count = taps.size() / width;
  const int64_t pieces = (width + kPiece - 1) / kPiece;
  const auto tasks = static_cast<int64_t>(slots.size()) * pieces;
  ParallelRows(pool(), tasks, x.elements() * count / tasks, [&](int64_t first, int64_t end) {
    for (int64_t task = first; task < end; ++task) {
      const auto sequence = static_cast<size_t>(task / pieces);
      const int64_t from = task % pieces * kPiece;
      const int64_t at = offsets[sequence] * width + from;
      ConvolutionPiece{
          .x = HostPointer(x) + at,
          .output = HostPointer(output) + at,
          .state = host.Slot(slots[sequence]) + from,
          .taps = HostPointer(taps) + from,
          .bias = bias != nullptr ? HostPointer(*bias) + from : nullptr,
          .silu = silu,
          .rows = offsets[sequence + 1] - offsets[sequence],
          .width = width,
          .kept = count - 1,
          .count = std::min(kPiece, width - from),
      }
          .Run();
    }
  });
}

void CpuBackend::SelectiveScan(const StepRows& where, const Tensor& x, const Tensor& steps,
                               const Vector& rates, const Tensor& write, const Tensor& read,
                               StateStore& states, const Tensor& output) {
  constexpr int64_t kColumns = 16;
  auto& host = static_cast<HostStates&>(states);
  const auto& offsets = where.where().sequence_offsets;
  const auto& slots = where.where().state_slots;
  const int64_t width = x.width;
  const int64_t size = write.width;
  const int64_t pieces = (width + kColumns - 1) / kColumns;
  const auto tasks = static_cast<int64_t>(slots.size()) * pieces;
  ParallelRows(pool(), tasks, x.elements() * size * 8 / tasks, [&](int64_t first, int64_t end) {
    for (int64_t task = first; task < end; ++task) {
      const auto sequence = static_cast<size_t>(task / pieces);
      const int64_t from = task % pieces * kColumns;
      const int64_t to = std::min(from + kColumns, width);
      for (int64_t row = offsets[sequence]; row < offsets[sequence + 1]; ++row) {
        const float* const writes = HostPointer(write) + row * size;
        const float* const reads = HostPointer(read) + row * size;
        for (int64_t column = from; column < to; ++column) {
          const float step = HostPointer(steps)[row * width + column];
          const float change = step * HostPointer(x)[row * width + column];
          const float* const rate = HostPointer(rates) + column * size;
          float* const state = host.Slot(slots[sequence]) + column * size;
          for (int64_t i = 0; i < size; ++i)
            state[i] = state[i] * Exp(step * rate[i]) + change * writes[i];
          float sum = 0;
          for (int64_t i = 0; i < size; ++i) sum += state[i] * reads[i];
          HostPointer(output)[row * width + column] = sum;
        }
      }
    }
  });
}

void CpuBackend::LinearAttend(const LinearAttentionParams& params, const StepRows& where,
                              const Tensor& q, const Tensor& k, const Tensor& v,
                              const Tensor& decay, const Tensor& write, StateStore& states,
                              const Tensor& output) {
  auto& host = static_cast<HostStates&>(states);
  const auto& offsets = where.where().sequence_offsets;
  const auto& slots = where.where().state_slots;
  const int heads = params.value_heads;
  const int64_t sharing = heads / params.key_heads;
  const int64_t state = int64_t{params.key_dim} * params.value_dim;
  const bool each = decay.width != write.width;
  const auto tasks = static_cast<int64_t>(slots.size()) * heads;
  const int64_t work = q.rows * heads * state / tasks;
  ParallelRows(pool(), tasks, work, [&](int64_t first, int64_t end) {
    for (int64_t task = first; task < end; ++task) {
      const auto sequence = static_cast<size_t>(task / heads);
      const int64_t head = task % heads;
      const int64_t row = offsets[sequence];
      const int64_t key = row * q.width + head / sharing * params.key_dim;
      const int64_t value = row * v.width + head * params.value_dim;
      LinearAttendHead(isa_, {.q = HostPointer(q) + key,
                              .k = HostPointer(k) + key,
                              .key_stride = q.width,
                              .v = HostPointer(v) + value,
                              .value_stride = v.width,
                              .decay = HostPointer(decay) + row * decay.width +
                                       head * (each ? params.key_dim : 1),
                              .decay_stride = decay.width,
                              .decay_step = each ? 1 : 0,
                              .write = HostPointer(write) + row * write.width + head,
                              .write_stride = write.width,
                              .delta = params.delta,
                              .rows = offsets[sequence + 1] - row,
                              .key_dim = params.key_dim,
                              .value_dim = params.value_dim,
                              .state = host.Slot(slots[sequence]) + head * state,
                              .output = HostPointer(output) + value});
    }
  });
}

}  // namespace conclave
