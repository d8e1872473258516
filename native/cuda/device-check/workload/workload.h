#pragma once

// The operations of one layer of a model, and its head, with random weights: what they are timed
// on.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "conclave/backend/backend.h"
#include "cuda/device-check/report.h"

namespace conclave::device_check {

struct ModelShape {
  std::string name;
  int64_t hidden;
  int heads;
  int kv_heads;
  int head_dim;
  int experts;
  int top_k;
  int64_t width;  // of an expert
  int64_t vocabulary;
  int context;  // positions that a decoding sequence has behind it
};

// Qwen3-30B-A3B, or one that an emulation gets through.
ModelShape RealShape();
ModelShape SmallShape();

struct Operation {
  std::string name;
  int64_t most_rows;
  // What it reads and writes at least, and its products.
  std::function<double(int64_t rows)> bytes;
  std::function<double(int64_t rows)> flops;
  std::function<void(int64_t rows)> run;
  // Row 0 of it has the same bits whatever the number of rows; an empty one: nothing is compared.
  Tensor output;
};

class Materials;

class Workload {
 public:
  Workload(Backend& backend, const ModelShape& shape, int64_t most_rows);
  ~Workload();

  const std::vector<Operation>& operations() const { return operations_; }

 private:
  std::unique_ptr<Materials> materials_;
  std::vector<Operation> operations_;  // which use them
};

}  // namespace conclave::device_check
