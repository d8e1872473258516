#include <cmath>
#include <vector>

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

void ReferenceBackend::Convolve(const Tensor& x, const Vector& taps, const Vector* bias, bool silu,
                                const StepRows& rows, StateStore& states, const Tensor& output) {
  const SequenceRows& where = rows.where();
  const int64_t kept = taps.size() / x.width - 1;
  for (size_t s = 0; s < where.state_slots.size(); ++s) {
    float* const state = static_cast<HostStates&>(states).Slot(where.state_slots[s]);
    // The rows before the step's first, then the step's.
    std::vector<float> seen(state, state + kept * x.width);
    const int64_t first = where.sequence_offsets[s];
    const int64_t end = where.sequence_offsets[s + 1];
    seen.insert(seen.end(), HostPointer(x) + first * x.width, HostPointer(x) + end * x.width);
    for (int64_t at = 0; at < (end - first) * x.width; ++at) {
      const int64_t column = at % x.width;
      double sum = bias != nullptr ? double{HostPointer(*bias)[column]} : 0;
      for (int64_t tap = 0; tap <= kept; ++tap) {
        sum += double{HostPointer(taps)[tap * x.width + column]} *
               double{seen[static_cast<size_t>(at + tap * x.width)]};
      }
      HostPointer(output)[first * x.width + at] =
          static_cast<float>(silu ? sum / (1 + std::exp(-sum)) : sum);
    }
    std::copy(seen.end() - kept * x.width, seen.end(), state);
  }
}

void ReferenceBackend::SelectiveScan(const StepRows& rows, const Tensor& x, const Tensor& steps,
                                     const Vector& rates, const Tensor& write, const Tensor& read,
                                     StateStore& states, const Tensor& output) {
  const SequenceRows& where = rows.where();
  const int64_t size = write.width;
  for (size_t s = 0; s < where.state_slots.size(); ++s) {
    float* const all = static_cast<HostStates&>(states).Slot(where.state_slots[s]);
    for (int64_t row = where.sequence_offsets[s]; row < where.sequence_offsets[s + 1]; ++row) {
      for (int64_t column = 0; column < x.width; ++column) {
        const double step = HostPointer(steps)[row * x.width + column];
        const double change = step * double{HostPointer(x)[row * x.width + column]};
        double sum = 0;
        for (int64_t i = 0; i < size; ++i) {
          float& element = all[column * size + i];
          const double kept = std::exp(step * double{HostPointer(rates)[column * size + i]});
          element = static_cast<float>(double{element} * kept +
                                       change * double{HostPointer(write)[row * size + i]});
          sum += double{element} * double{HostPointer(read)[row * size + i]};
        }
        HostPointer(output)[row * x.width + column] = static_cast<float>(sum);
      }
    }
  }
}

void ReferenceBackend::LinearAttend(const LinearAttentionParams& params, const StepRows& rows,
                                    const Tensor& q, const Tensor& k, const Tensor& v,
                                    const Tensor& decay, const Tensor& write, StateStore& states,
                                    const Tensor& output) {
  const SequenceRows& where = rows.where();
  const int64_t keys = params.key_dim;
  const int64_t values = params.value_dim;
  const bool each = decay.width != write.width;
  for (size_t s = 0; s < where.state_slots.size(); ++s) {
    for (int64_t row = where.sequence_offsets[s]; row < where.sequence_offsets[s + 1]; ++row) {
      for (int64_t head = 0; head < params.value_heads; ++head) {
        float* const state =
            static_cast<HostStates&>(states).Slot(where.state_slots[s]) + head * keys * values;
        const int64_t key_head = head / (params.value_heads / params.key_heads);
        const float* const query = HostPointer(q) + row * q.width + key_head * keys;
        const float* const key = HostPointer(k) + row * k.width + key_head * keys;
        const int64_t to = row * v.width + head * values;
        for (int64_t i = 0; i < keys * values; ++i) {
          const int64_t at = each ? head * keys + i / values : head;
          state[i] *= HostPointer(decay)[row * decay.width + at];
        }
        for (int64_t column = 0; column < values; ++column) {
          double held = 0;
          for (int64_t i = 0; params.delta && i < keys; ++i)
            held += double{state[i * values + column]} * double{key[i]};
          const double change = (double{HostPointer(v)[to + column]} - held) *
                                double{HostPointer(write)[row * write.width + head]};
          double sum = 0;
          for (int64_t i = 0; i < keys; ++i) {
            float& element = state[i * values + column];
            element = static_cast<float>(double{element} + double{key[i]} * change);
            sum += double{element} * double{query[i]};
          }
          HostPointer(output)[to + column] = static_cast<float>(sum);
        }
      }
    }
  }
}

}  // namespace conclave
