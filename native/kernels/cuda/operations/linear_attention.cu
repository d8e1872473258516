// Linear attention, row by row; see LinearAttend in backend.h.

#include "kernels/cuda/backend/cache.h"
#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

struct LinearAttentionArguments {
  LinearAttentionParams params;
  const float* q;      // [rows, key_heads * key_dim]
  const float* k;      // likewise
  const float* v;      // [rows, value_heads * value_dim]
  const float* decay;  // [rows, value_heads], or [rows, value_heads * key_dim]
  const float* write;  // [rows, value_heads]
  const int32_t* offsets;
  const int32_t* slots;
  float* states;  // [slots, elements], of which [value_heads, key_dim, value_dim] are these
  int64_t elements;
  float* output;  // as v
  bool decay_each;
};

constexpr int kColumns = 32;  // of a head's values, a thread each

// A block takes a sequence, a value head and 32 of its columns, and keeps their state in shared
// memory: [key_dim, 32], beside a row's query, key and decays [key_dim] each.
__global__ void AttendLinearly(LinearAttentionArguments a) {
  auto* const state = reinterpret_cast<float*>(SharedMemory());
  const int keys = a.params.key_dim, values = a.params.value_dim;
  float* const query = state + keys * kColumns;
  float* const key = query + keys;
  float* const decay = key + keys;
  const auto lane = static_cast<int>(threadIdx.x);
  const int64_t sequence = blockIdx.x, head = blockIdx.y;
  const int column = static_cast<int>(blockIdx.z) * kColumns + lane;
  const bool inside = column < values;
  const int64_t key_head = head / (a.params.value_heads / a.params.key_heads);
  float* const kept = a.states + a.slots[sequence] * a.elements + head * keys * values + column;
  for (int i = 0; i < keys; ++i)
    state[i * kColumns + lane] = inside ? kept[int64_t{i} * values] : 0;
  for (int64_t row = a.offsets[sequence]; row < a.offsets[sequence + 1]; ++row) {
    const int64_t from = (row * a.params.key_heads + key_head) * keys;
    const int64_t head_row = row * a.params.value_heads + head;
    __syncwarp();  // All lanes are done with the row before.
    for (int i = lane; i < keys; i += kColumns) {
      query[i] = a.q[from + i];
      key[i] = a.k[from + i];
      decay[i] = a.decay_each ? a.decay[head_row * keys + i] : a.decay[head_row];
    }
    __syncwarp();
    float held = 0;
    for (int i = 0; i < keys; ++i) {
      const float decayed = state[i * kColumns + lane] * decay[i];
      state[i * kColumns + lane] = decayed;
      held = MultiplyAdd(decayed, key[i], held);
    }
    const float value = inside ? a.v[head_row * values + column] : 0;
    const float change = (a.params.delta ? value - held : value) * a.write[head_row];
    float sum = 0;
    for (int i = 0; i < keys; ++i) {
      const float written = MultiplyAdd(key[i], change, state[i * kColumns + lane]);
      state[i * kColumns + lane] = written;
      sum = MultiplyAdd(written, query[i], sum);
    }
    if (inside) a.output[head_row * values + column] = sum;
  }
  for (int i = 0; i < keys && inside; ++i) kept[int64_t{i} * values] = state[i * kColumns + lane];
}

}  // namespace

void CudaBackend::LinearAttend(const LinearAttentionParams& params, const StepRows& where,
                               const Tensor& q, const Tensor& k, const Tensor& v,
                               const Tensor& decay, const Tensor& write, StateStore& states,
                               const Tensor& output) {
  const size_t shared = static_cast<size_t>(params.key_dim) * (kColumns + 3) * sizeof(float);
  const LaunchShape grid{OnDevice(where).sequences(), params.value_heads,
                         Parts(params.value_dim, kColumns)};
  Launch<AttendLinearly>(stream_, "linear attention", grid, kColumns, shared,
                         LinearAttentionArguments{.params = params,
                                                  .q = DevicePointer(q),
                                                  .k = DevicePointer(k),
                                                  .v = DevicePointer(v),
                                                  .decay = DevicePointer(decay),
                                                  .write = DevicePointer(write),
                                                  .offsets = OnDevice(where).sequence_offsets(),
                                                  .slots = OnDevice(where).state_slots(),
                                                  .states = OnDevice(states).data(),
                                                  .elements = OnDevice(states).elements(),
                                                  .output = DevicePointer(output),
                                                  .decay_each = decay.width != write.width});
}

}  // namespace conclave::cuda
