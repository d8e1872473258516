#pragma once

#include <cstdint>

#include "conclave/backend/sequence_rows.h"

namespace conclave {

// The rows of a step where a backend's operations can read them: uploaded once for all layers.
class StepRows {
 public:
  // `where` must outlive it.
  explicit StepRows(const SequenceRows& where) : where_(where) {}
  virtual ~StepRows() = default;

  int64_t rows() const { return static_cast<int64_t>(where_.positions.size()); }
  // On the host.
  const SequenceRows& where() const { return where_; }

 private:
  SequenceRows where_;
};

}  // namespace conclave
