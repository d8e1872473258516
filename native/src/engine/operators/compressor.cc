#include "conclave/engine/operators/compressor.h"

#include <array>

namespace conclave {

Compressor::Compressor(TensorLoader& loader, const CompressorSpec& spec, const Rope& rope)
    : params_(spec.fold),
      width_(spec.width()),
      rope_(rope),
      value_(loader.Matrix(spec.value.weight, Whole(spec.value.weight))),
      gate_(loader.Matrix(spec.gate.weight, Whole(spec.gate.weight))),
      bias_(loader.backend().Store(loader.Floats(spec.bias, {0, spec.bias.rows()}))),
      norm_(loader, spec.norm, spec.width()) {
  // A row that ends a span stands for its first position.
  rope_.offset = 1 - params_.span;
}

void Compressor::Write(Backend& backend, const StepRows& where, const Tensor& values,
                       const Tensor& gates, StateStore& states, const SlotLayout& layout,
                       PagedCache& cache) const {
  const Arena::Scope scope(backend.scratch());
  const Tensor rows = backend.scratch().Rows(values.rows, width_);
  backend.Fold(params_, where, values, gates, *bias_, states, rows);
  norm_.Forward(backend, rows, rows);
  const auto width = static_cast<int>(width_);
  backend.Rotate(rope_, where, width, width - rope_.rotary_dim, std::array{rows});
  backend.WriteEntries(layout, where, rows, cache);
}

uint64_t Compressor::SourceBytes(const CompressorSpec& spec) {
  return conclave::SourceBytes(spec.value) + conclave::SourceBytes(spec.gate) + spec.bias.bytes() +
         spec.norm.bytes();
}

SlotLayout SlotsOf(int positions, int span) {
  if (span == 0) return {.positions = positions};
  return {.positions = positions, .entries = (positions - 1) / span + 1, .span = span};
}

SequenceRowsData RowsBySlot(const SlotLayout& layout, const SequenceRows& where) {
  SequenceRowsData rows;
  rows.sequence_offsets.push_back(0);
  rows.block_offsets.push_back(0);
  for (size_t s = 0; s + 1 < where.sequence_offsets.size(); ++s) {
    const int32_t* const table = where.block_tables.data() + where.block_offsets[s];
    const int32_t end = where.sequence_offsets[s + 1];
    for (int32_t row = where.sequence_offsets[s]; row < end; ++row) {
      const int32_t position = where.positions[static_cast<size_t>(row)];
      rows.positions.push_back(static_cast<int32_t>(layout.SlotOf(position)));
      if (row + 1 < end && (position + 1) % layout.positions != 0) continue;
      rows.sequence_offsets.push_back(row + 1);
      rows.block_tables.insert(rows.block_tables.end(), table,
                               table + position / layout.positions + 1);
      rows.block_offsets.push_back(static_cast<int32_t>(rows.block_tables.size()));
    }
  }
  return rows;
}

}  // namespace conclave
