#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "conclave/backend/host_states.h"
#include "kernels/reference/backend.h"
#include "kernels/reference/cache.h"

namespace conclave {
namespace {

// One column's softmax over rows so far: the highest gate, and relative to it the sum of weights
// and of weighted values.
struct ColumnState {
  double highest = -std::numeric_limits<double>::infinity();
  double sum = 0;
  double total = 0;

  void Add(double gate, double value) {
    const double most = std::max(highest, gate);
    const double kept = std::exp(highest - most);
    const double added = std::exp(gate - most);
    sum = sum * kept + added;
    total = total * kept + added * value;
    highest = most;
  }
};

// [3, width] of a series of columns.
ColumnState Read(const float* states, int64_t width, int64_t column) {
  return {states[column], states[width + column], states[2 * width + column]};
}

void Write(const ColumnState& state, int64_t width, int64_t column, float* states) {
  states[column] = static_cast<float>(state.highest);
  states[width + column] = static_cast<float>(state.sum);
  states[2 * width + column] = static_cast<float>(state.total);
}

}  // namespace

void ReferenceBackend::Fold(const FoldParams& params, const StepRows& rows, const Tensor& values,
                            const Tensor& gates, const Vector& bias, StateStore& states,
                            const Tensor& output) {
  const SequenceRows& where = rows.where();
  const int64_t width = output.width;
  for (size_t s = 0; s < where.state_slots.size(); ++s) {
    float* const state = static_cast<HostStates&>(states).Slot(where.state_slots[s]);
    for (int64_t row = where.sequence_offsets[s]; row < where.sequence_offsets[s + 1]; ++row) {
      const int64_t position = where.positions[static_cast<size_t>(row)];
      const int64_t place = position % params.span;
      for (int64_t c = 0; c < width; ++c) {
        const auto add = [&](ColumnState& to, int64_t column) {
          const double gate = double{HostPointer(gates)[row * gates.width + column]} +
                              double{HostPointer(bias)[place * gates.width + column]};
          to.Add(gate, HostPointer(values)[row * values.width + column]);
        };
        ColumnState current = place > 0 ? Read(state, width, c) : ColumnState();
        if (params.overlapping) {
          ColumnState next = position > 0 ? Read(state + 3 * width, width, c) : ColumnState();
          if (place == 0) {
            current = next;
            next = {};
          }
          add(next, c);
          Write(next, width, c, state + 3 * width);
        }
        add(current, params.overlapping ? width + c : c);
        Write(current, width, c, state);
        HostPointer(output)[row * width + c] = static_cast<float>(current.total / current.sum);
      }
    }
  }
}

void ReferenceBackend::WriteEntries(const SlotLayout& layout, const StepRows& rows, const Tensor& k,
                                    PagedCache& paged) {
  auto& cache = static_cast<ReferenceCache&>(paged);
  const SequenceRows& where = rows.where();
  for (size_t s = 0; s + 1 < where.sequence_offsets.size(); ++s) {
    for (int64_t row = where.sequence_offsets[s]; row < where.sequence_offsets[s + 1]; ++row) {
      const int64_t seen = int64_t{where.positions[static_cast<size_t>(row)]} + 1;
      if (seen % layout.span != 0) continue;
      const int64_t entry = seen / layout.span - 1;
      const CachePlace at = PlaceOf(where, s, entry, layout.entries);
      const float* const key = HostPointer(k) + row * k.width;
      std::transform(key, key + k.width, cache.Key(at.block, at.in_block, 0),
                     [&](float x) { return cache.Rounded(x); });
    }
  }
}

void ReferenceBackend::SelectSlots(const SlotLayout& layout, int window, const StepRows& where,
                                   const KeySelection* entries, const KeySelection& output) {
  for (int64_t row = 0; row < where.rows(); ++row) {
    const int64_t position = where.where().positions[static_cast<size_t>(row)];
    for (int64_t slot = 0; slot < output.words.width * 32; ++slot) {
      const int64_t block = slot / layout.slots();
      const int64_t place = slot % layout.slots();
      bool read;
      if (place < layout.entries) {
        const int64_t entry = block * layout.entries + place;
        read = entry < (position + 1) / layout.span;
        if (read && entries != nullptr) {
          const int32_t word = HostPointer(entries->words)[row * entries->words.width + entry / 32];
          read = (static_cast<uint32_t>(word) >> (entry % 32) & 1) != 0;
        }
      } else {
        const int64_t at = block * layout.positions + place - layout.entries;
        read = at <= position && at > position - window;
      }
      int32_t& word = HostPointer(output.words)[row * output.words.width + slot / 32];
      if (slot % 32 == 0) word = 0;
      if (read) word |= static_cast<int32_t>(1u << (slot % 32));
    }
  }
}

}  // namespace conclave
