// Recurrences over the rows of each sequence, column by column.

#include "kernels/cuda/backend/cache.h"
#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

// Of the sequences of a step, and their states.
struct Recurrence {
  const int32_t* offsets;  // [sequences + 1]
  const int32_t* slots;    // [sequences]
  float* states;           // [slots, elements]
  int64_t elements;
};

Recurrence RecurrenceOf(const StepRows& where, StateStore& states) {
  return {OnDevice(where).sequence_offsets(), OnDevice(where).state_slots(),
          OnDevice(states).data(), OnDevice(states).elements()};
}

struct ClearSlot {
  const int32_t* slots;
  float* states;
  int64_t elements;
  __device__ void operator()(int64_t i) const {
    states[slots[i / elements] * elements + i % elements] = 0;
  }
};

// state += x[r]; output[r] = state. A thread for each column of each sequence.
struct SumRows {
  Recurrence of;
  const float* x;
  float* output;
  int64_t width;
  __device__ void operator()(int64_t i) const {
    const int64_t sequence = i / width, column = i % width;
    float& state = of.states[of.slots[sequence] * of.elements + column];
    float sum = state;
    for (int64_t row = of.offsets[sequence]; row < of.offsets[sequence + 1]; ++row) {
      sum += x[row * width + column];
      output[row * width + column] = sum;
    }
    state = sum;
  }
};

// output[r] = bias + sum over taps j of taps[j] * x[r - kept + j], or silu of it; rows before the
// first of the step from the state [kept, width].
struct ConvolveRows {
  Recurrence of;
  const float* x;
  const float* taps;  // [kept + 1, width]
  const float* bias;  // [width]; null: none
  bool silu;
  float* output;
  int64_t width;
  int64_t kept;

  __device__ void operator()(int64_t i) const {
    const int64_t sequence = i / width, column = i % width;
    const int64_t first = of.offsets[sequence], rows = of.offsets[sequence + 1] - first;
    float* const state = of.states + of.slots[sequence] * of.elements + column;
    // Of the state's rows and then the step's.
    const auto seen = [&](int64_t row) {
      return row < kept ? state[row * width] : x[(first + row - kept) * width + column];
    };
    for (int64_t row = 0; row < rows; ++row) {
      float sum = bias != nullptr ? bias[column] : 0;
      for (int64_t tap = 0; tap <= kept; ++tap)
        sum = MultiplyAdd(taps[tap * width + column], seen(row + tap), sum);
      output[(first + row) * width + column] = silu ? sum / (1 + expf(-sum)) : sum;
    }
    for (int64_t row = 0; row < kept; ++row) state[row * width] = seen(rows + row);
  }
};

// See Backend::SelectiveScan. A thread for each column of each sequence.
struct ScanRows {
  Recurrence of;
  const float* x;
  const float* steps;
  const float* rates;  // [width, size]
  const float* write;  // [rows, size]
  const float* read;
  float* output;
  int64_t width;
  int64_t size;
  __device__ void operator()(int64_t i) const {
    const int64_t sequence = i / width, column = i % width;
    float* const state = of.states + of.slots[sequence] * of.elements + column * size;
    for (int64_t row = of.offsets[sequence]; row < of.offsets[sequence + 1]; ++row) {
      const float step = steps[row * width + column];
      const float change = step * x[row * width + column];
      float sum = 0;
      for (int64_t j = 0; j < size; ++j) {
        const float kept = state[j] * expf(step * rates[column * size + j]);
        state[j] = MultiplyAdd(change, write[row * size + j], kept);
        sum = MultiplyAdd(state[j], read[row * size + j], sum);
      }
      output[row * width + column] = sum;
    }
  }
};

}  // namespace

void CudaBackend::SelectiveScan(const StepRows& where, const Tensor& x, const Tensor& steps,
                                const Vector& rates, const Tensor& write, const Tensor& read,
                                StateStore& states, const Tensor& output) {
  LaunchElements(stream_, "selective scan", OnDevice(where).sequences() * x.width,
                 ScanRows{RecurrenceOf(where, states), DevicePointer(x), DevicePointer(steps),
                          DevicePointer(rates), DevicePointer(write), DevicePointer(read),
                          DevicePointer(output), x.width, write.width});
}

void CudaBackend::ClearStates(std::span<const int32_t> slots, StateStore& states) {
  const Arena::Scope scope(scratch());
  const CudaStates& of = OnDevice(states);
  LaunchElements(stream_, "states that begin", static_cast<int64_t>(slots.size()) * of.elements(),
                 ClearSlot{Send(slots, "slots of states"), of.data(), of.elements()});
}

void CudaBackend::RunningSum(const Tensor& x, const StepRows& where, StateStore& states,
                             const Tensor& output) {
  LaunchElements(
      stream_, "running sum", OnDevice(where).sequences() * x.width,
      SumRows{RecurrenceOf(where, states), DevicePointer(x), DevicePointer(output), x.width});
}

void CudaBackend::Convolve(const Tensor& x, const Vector& taps, const Vector* bias, bool silu,
                           const StepRows& where, StateStore& states, const Tensor& output) {
  if (x.width == 0) return;
  LaunchElements(stream_, "convolution", OnDevice(where).sequences() * x.width,
                 ConvolveRows{RecurrenceOf(where, states), DevicePointer(x), DevicePointer(taps),
                              DevicePointer(bias), silu, DevicePointer(output), x.width,
                              taps.size() / x.width - 1});
}

}  // namespace conclave::cuda
