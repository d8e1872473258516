// Rows that stand for a span of positions, and the slots of a cache that rows read.

#include <algorithm>
#include <vector>

#include "conclave/backend/host_states.h"
#include "conclave/base/exponential.h"
#include "conclave/base/parallel_rows.h"
#include "kernels/cpu/attention/batch.h"
#include "kernels/cpu/backend.h"

namespace conclave {
namespace {

// Columns that one thread takes through all rows of a sequence.
constexpr int64_t kPiece = 256;

// A softmax over rows so far, of each column: the highest gate, and relative to it the sum of
// weights and of weighted values.
struct FoldState {
  float* highest;
  float* sum;
  float* total;

  void Begin(const float* values, const float* gates, const float* bias, int64_t count) const {
    for (int64_t i = 0; i < count; ++i) {
      highest[i] = gates[i] + bias[i];
      sum[i] = 1;
      total[i] = values[i];
    }
  }
  void Add(const float* values, const float* gates, const float* bias, int64_t count) const {
    for (int64_t i = 0; i < count; ++i) {
      const float gate = gates[i] + bias[i];
      const float difference = gate - highest[i];
      const float less = Exp(difference > 0 ? -difference : difference);
      const float kept = difference > 0 ? less : 1;
      const float added = difference > 0 ? 1 : less;
      highest[i] = difference > 0 ? gate : highest[i];
      sum[i] = sum[i] * kept + added;
      total[i] = total[i] * kept + added * values[i];
    }
  }
  void Take(const FoldState& other, int64_t count) const {
    std::copy_n(other.highest, count, highest);
    std::copy_n(other.sum, count, sum);
    std::copy_n(other.total, count, total);
  }
};

// Columns [from, from + count) of the rows of one sequence.
struct FoldPiece {
  const FoldParams& params;
  int64_t width;  // of the output
  int64_t from;
  int64_t count;
  float* state;  // of the sequence

  int64_t stored() const { return params.overlapping ? 2 * width : width; }
  // Of the span that rows are in, and of the next one.
  FoldState StateOf(int64_t series) const {
    float* const first = state + series * 3 * width + from;
    return {first, first + width, first + 2 * width};
  }

  void Run(int64_t position, const float* values, const float* gates, const float* bias,
           float* output) const {
    const int64_t place = position % params.span;
    const float* const biases = bias + place * stored() + from;
    const int64_t own = params.overlapping ? width : 0;
    const FoldState current = StateOf(0);
    if (params.overlapping) {
      const FoldState next = StateOf(1);
      if (place == 0 && position > 0) current.Take(next, count);
      if (place == 0) {
        next.Begin(values + from, gates + from, biases, count);
      } else {
        next.Add(values + from, gates + from, biases, count);
      }
    }
    if (place == 0 && (position == 0 || !params.overlapping)) {
      current.Begin(values + own + from, gates + own + from, biases + own, count);
    } else {
      current.Add(values + own + from, gates + own + from, biases + own, count);
    }
    for (int64_t i = 0; i < count; ++i) output[from + i] = current.total[i] / current.sum[i];
  }
};

}  // namespace

void CpuBackend::Fold(const FoldParams& params, const StepRows& where, const Tensor& values,
                      const Tensor& gates, const Vector& bias, StateStore& states,
                      const Tensor& output) {
  auto& host = static_cast<HostStates&>(states);
  const SequenceRows& rows = where.where();
  const int64_t width = output.width;
  const int64_t pieces = (width + kPiece - 1) / kPiece;
  const auto tasks = static_cast<int64_t>(rows.state_slots.size()) * pieces;
  ParallelRows(pool(), tasks, values.elements() * 8 / tasks, [&](int64_t first, int64_t end) {
    for (int64_t task = first; task < end; ++task) {
      const auto sequence = static_cast<size_t>(task / pieces);
      const int64_t from = task % pieces * kPiece;
      const FoldPiece piece{params, width, from, std::min(kPiece, width - from),
                            host.Slot(rows.state_slots[sequence])};
      for (int64_t row = rows.sequence_offsets[sequence]; row < rows.sequence_offsets[sequence + 1];
           ++row) {
        piece.Run(rows.positions[static_cast<size_t>(row)],
                  HostPointer(values) + row * values.width, HostPointer(gates) + row * gates.width,
                  HostPointer(bias), HostPointer(output) + row * width);
      }
    }
  });
}

void CpuBackend::WriteEntries(const SlotLayout& layout, const StepRows& where, const Tensor& k,
                              PagedCache& cache) {
  auto& paged = static_cast<KvCache&>(cache);
  const SequenceRows& rows = where.where();
  const KvLayout kv(paged.shape(), paged.type());
  const std::vector<float> zeros(static_cast<size_t>(k.width), 0.0f);
  for (size_t s = 0; s + 1 < rows.sequence_offsets.size(); ++s) {
    const int32_t* const table = rows.block_tables.data() + rows.block_offsets[s];
    for (int64_t row = rows.sequence_offsets[s]; row < rows.sequence_offsets[s + 1]; ++row) {
      const int64_t position = rows.positions[static_cast<size_t>(row)];
      // Attention multiplies what no row reads by 0: it must not be what another sequence has left.
      for (int e = 0; position % layout.positions == 0 && e < layout.entries; ++e)
        WriteKeyAt(kv, table[position / layout.positions], e, zeros.data(), paged.data());
      const int64_t seen = position + 1;
      if (seen % layout.span != 0) continue;
      const int64_t entry = seen / layout.span - 1;
      WriteKeyAt(kv, table[entry / layout.entries], static_cast<int>(entry % layout.entries),
                 HostPointer(k) + row * k.width, paged.data());
    }
  }
}

void CpuBackend::SelectSlots(const SlotLayout& layout, int window, const StepRows& where,
                             const KeySelection* entries, const KeySelection& output) {
  const int64_t words = output.words.width;
  ParallelRows(pool(), where.rows(), words * 32, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      int32_t* const out = HostPointer(output.words) + row * words;
      std::fill_n(out, words, 0);
      const auto set = [&](int64_t slot) {
        out[slot / 32] |= static_cast<int32_t>(1u << (slot % 32));
      };
      const int64_t position = where.where().positions[static_cast<size_t>(row)];
      for (int64_t p = std::max<int64_t>(0, position + 1 - window); p <= position; ++p)
        set(layout.SlotOf(p));
      const int32_t* const chosen =
          entries != nullptr ? HostPointer(entries->words) + row * entries->words.width : nullptr;
      for (int64_t e = 0; e < (position + 1) / layout.span; ++e) {
        if (chosen != nullptr && (static_cast<uint32_t>(chosen[e / 32]) >> (e % 32) & 1) == 0)
          continue;
        set(e / layout.entries * layout.slots() + e % layout.entries);
      }
    }
  });
}

}  // namespace conclave
