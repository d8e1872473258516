// Rows that stand for a span of positions, and the slots of a cache that rows read.

#include "kernels/cuda/attention/arguments.h"
#include "kernels/cuda/backend/cache.h"
#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

// One column's softmax over rows so far: the highest gate, and relative to it the sum of weights
// and of weighted values.
struct ColumnState {
  float highest, sum, total;

  __device__ void Add(float gate, float value) {
    const float less = expf(-fabsf(gate - highest));
    const bool higher = gate > highest;
    sum = sum * (higher ? less : 1) + (higher ? 1 : less);
    total = total * (higher ? less : 1) + (higher ? 1 : less) * value;
    highest = higher ? gate : highest;
  }
};

// A thread for each column of each sequence.
struct FoldRows {
  FoldParams params;
  const int32_t* positions;
  const int32_t* offsets;  // [sequences + 1]
  const int32_t* slots;    // [sequences]
  float* states;           // [slots, elements]
  int64_t elements;
  const float* values;
  const float* gates;
  const float* bias;  // [span, stored]
  float* output;
  int64_t width;
  int64_t stored;  // columns of values and gates

  __device__ static ColumnState Load(const float* s, int64_t width) {
    return {s[0], s[width], s[2 * width]};
  }
  __device__ static void Store(const ColumnState& state, int64_t width, float* s) {
    s[0] = state.highest;
    s[width] = state.sum;
    s[2 * width] = state.total;
  }

  __device__ void operator()(int64_t i) const {
    const int64_t sequence = i / width, column = i % width;
    float* const state = states + slots[sequence] * elements + column;
    const int64_t own = params.overlapping ? width + column : column;
    const ColumnState empty{-kInfinity, 0, 0};
    ColumnState current = Load(state, width);
    ColumnState next = params.overlapping ? Load(state + 3 * width, width) : empty;
    for (int64_t row = offsets[sequence]; row < offsets[sequence + 1]; ++row) {
      const int64_t place = positions[row] % params.span;
      if (place == 0) {
        current = positions[row] == 0 ? empty : next;
        next = empty;
      }
      current.Add(gates[row * stored + own] + bias[place * stored + own],
                  values[row * stored + own]);
      if (params.overlapping) {
        next.Add(gates[row * stored + column] + bias[place * stored + column],
                 values[row * stored + column]);
      }
      output[row * width + column] = current.total / current.sum;
    }
    Store(current, width, state);
    if (params.overlapping) Store(next, width, state + 3 * width);
  }
};

template <typename Element>
struct WriteEntry {
  SlotLayout layout;
  CacheView cache;
  const int32_t* positions;
  const int32_t* row_sequences;
  const int32_t* block_tables;
  const int32_t* block_offsets;
  const float* k;
  int64_t width;

  __device__ void operator()(int64_t i) const {
    const int64_t row = i / width, seen = int64_t{positions[row]} + 1;
    if (seen % layout.span != 0) return;
    const int64_t entry = seen / layout.span - 1;
    const int32_t* const table = block_tables + block_offsets[row_sequences[row]];
    // Of its slot in the block.
    const int64_t block = table[entry / layout.entries];
    const int64_t at =
        (block * cache.block_size + entry % layout.entries) * cache.key_stride + i % width;
    static_cast<Element*>(cache.data)[at] = FromFloat<Element>(k[i]);
  }
};

// A word each.
struct MarkSlots {
  SlotLayout layout;
  int window;
  const int32_t* positions;
  const int32_t* entries;  // [rows, entry_words]; null: all
  int64_t entry_words;
  int32_t* output;
  int64_t words;

  __device__ bool Reads(int64_t row, int64_t position, int64_t slot) const {
    const int slots = layout.positions + layout.entries;
    const int64_t block = slot / slots, place = slot % slots;
    if (place >= layout.entries) {
      const int64_t at = block * layout.positions + place - layout.entries;
      return at <= position && at > position - window;
    }
    const int64_t entry = block * layout.entries + place;
    if (entry >= (position + 1) / layout.span) return false;
    return entries == nullptr || IsSelected(entries + row * entry_words, entry);
  }

  __device__ void operator()(int64_t i) const {
    const int64_t row = i / words, first = i % words * 32;
    uint32_t word = 0;
    for (int bit = 0; bit < 32; ++bit) {
      if (Reads(row, positions[row], first + bit)) word |= 1u << bit;
    }
    output[i] = static_cast<int32_t>(word);
  }
};

template <typename Element>
WriteEntry<Element> WriterOf(const SlotLayout& layout, const CacheView& cache,
                             const CudaStepRows& rows, const Tensor& k) {
  return {layout,
          cache,
          rows.positions(),
          rows.row_sequences(),
          rows.block_tables(),
          rows.block_offsets(),
          DevicePointer(k),
          k.width};
}

}  // namespace

void CudaBackend::Fold(const FoldParams& params, const StepRows& where, const Tensor& values,
                       const Tensor& gates, const Vector& bias, StateStore& states,
                       const Tensor& output) {
  const CudaStepRows& rows = OnDevice(where);
  LaunchElements(stream_, "fold of spans", rows.sequences() * output.width,
                 FoldRows{params, rows.positions(), rows.sequence_offsets(), rows.state_slots(),
                          OnDevice(states).data(), OnDevice(states).elements(),
                          DevicePointer(values), DevicePointer(gates), DevicePointer(bias),
                          DevicePointer(output), output.width, values.width});
}

void CudaBackend::WriteEntries(const SlotLayout& layout, const StepRows& where, const Tensor& k,
                               PagedCache& cache) {
  const CacheView view = static_cast<CudaCache&>(cache).view();
  const CudaStepRows& rows = OnDevice(where);
  if (view.bf16) {
    LaunchElements(stream_, "entries of spans", k.elements(),
                   WriterOf<Bf16>(layout, view, rows, k));
  } else {
    LaunchElements(stream_, "entries of spans", k.elements(),
                   WriterOf<float>(layout, view, rows, k));
  }
}

void CudaBackend::SelectSlots(const SlotLayout& layout, int window, const StepRows& where,
                              const KeySelection* entries, const KeySelection& output) {
  LaunchElements(stream_, "selection of slots", output.words.elements(),
                 MarkSlots{layout, window, OnDevice(where).positions(),
                           entries != nullptr ? DevicePointer(entries->words) : nullptr,
                           entries != nullptr ? entries->words.width : 0,
                           DevicePointer(output.words), output.words.width});
}

}  // namespace conclave::cuda
