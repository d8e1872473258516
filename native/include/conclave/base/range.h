#pragma once

#include <cstdint>

namespace conclave {

// Indices [begin, end).
struct Range {
  int64_t begin;
  int64_t end;

  int64_t size() const { return end - begin; }
};

// A rectangle of a matrix in the checkpoint.
struct Rectangle {
  Range rows;
  Range cols;
};

}  // namespace conclave
