#pragma once

#include <cstdint>

#include "conclave/engine/norm.h"
#include "conclave/engine/step.h"
#include "conclave/model/spec.h"

namespace conclave {

// Makes an entry of each span of positions, for a cache that holds entries.
class Compressor {
 public:
  // `rope` turns the last elements of an entry, by the first position of its span.
  Compressor(TensorLoader& loader, const CompressorSpec& spec, const Rope& rope);

  const Matrix* value() const { return value_.get(); }
  const Matrix* gate() const { return gate_.get(); }
  // Writes the entries of spans that end in these rows, of which values and gates are what the
  // matrices give.
  void Write(Backend& backend, const StepRows& where, const Tensor& values, const Tensor& gates,
             StateStore& states, const SlotLayout& layout, PagedCache& cache) const;

  uint64_t weight_bytes() const {
    return value_->bytes() + gate_->bytes() + bias_->bytes() + norm_.bytes();
  }
  static uint64_t SourceBytes(const CompressorSpec& spec);

 private:
  FoldParams params_;
  int64_t width_;
  Rope rope_;
  MatrixPtr value_, gate_;
  VectorPtr bias_;
  Norm norm_;
};

// Blocks of so many positions, with room for the entries of as many; span 0: for none.
SlotLayout SlotsOf(int positions, int span);

// The rows of a step by slots in place of positions: rows of one block that follow each other are a
// sequence of their own.
SequenceRowsData RowsBySlot(const SlotLayout& layout, const SequenceRows& where);

}  // namespace conclave
