#pragma once

// Parameters of a backend's operations.

#include <cstdint>
#include <span>

#include "conclave/backend/device_rows.h"
#include "conclave/backend/weights.h"
#include "conclave/base/operator_parameters.h"

namespace conclave {

// Where a norm leaves the grid of its rows, and how many bits below their scale it lies.
struct GridOutput {
  Grid exponents;
  int bits;
};

// One of several matrices with the same input: output [rows, matrix->rows()].
struct LinearOutput {
  const Matrix* matrix;
  const Vector* bias;  // null: none
  Tensor output;
};

// Which positions of its sequence each row reads: those whose bit is set, p % 32 of word p / 32.
// Selectors share the key/value heads in equal parts, and each has words of its own, which reach as
// far as the longest sequence of the step does.
struct KeySelection {
  DeviceIds words;  // [rows, selectors * words of one]
  int selectors = 1;

  int64_t words_each() const { return words.width / selectors; }
};

struct GateParams {
  int top_k = 0;
  GateScoring scoring = GateScoring::kSoftmaxAll;
  float weight_multiplier = 1;
  bool renormalise = false;  // divide weights by their sum
  float smallest_sum = 0;    // what they are divided by at least
  float jitter = 0;          // of kSparsemixer
  float softcap = 0;         // of logits, bias included; 0: none
  GateGroups groups = {};
  const Vector* bias = nullptr;        // [experts], added to logits; null: none
  const Vector* correction = nullptr;  // [experts], added to scores while experts are picked
  const Vector* scales = nullptr;      // [experts], multiply the weights; null: none
  // [rows, top_k]: the experts of each row, whatever their scores; null: by these.
  const DeviceIds* picked = nullptr;
};

// What a gate chose for each row, [rows, top_k]: experts by descending weight (ties: lower id
// first), or as they were picked.
struct GateChoice {
  DeviceIds ids;
  Tensor weights;
};

// One expert slice that a row needs.
struct ExpertEntry {
  int32_t slot;
  int32_t row;
  float weight;
};

// Entries [begin, end) of a sorted list go through one expert.
struct ExpertGroup {
  const Ffn* ffn;
  int64_t begin;
  int64_t end;
};

}  // namespace conclave
