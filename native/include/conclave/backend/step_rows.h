#pragma once

#include <cstdint>

#include "conclave/backend/sequence_rows.h"

namespace conclave {

// The rows of a step where a backend's operations can read them: uploaded once for all layers.
class StepRows {
 public:
  virtual ~StepRows() = default;
  virtual int64_t rows() const = 0;
};

}  // namespace conclave
