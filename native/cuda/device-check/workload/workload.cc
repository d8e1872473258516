#include "cuda/device-check/workload/workload.h"

#include <algorithm>

#include "cuda/device-check/workload/materials.h"

namespace conclave::device_check {

ModelShape RealShape() {
  return {
      "Qwen3-30B-A3B, bf16, one layer and the head", 2048, 32, 4, 128, 128, 8, 768, 151'936, 2047};
}

ModelShape SmallShape() { return {"a small model", 64, 4, 2, 16, 8, 2, 32, 128, 31}; }

Workload::Workload(Backend& backend, const ModelShape& shape, int64_t most_rows)
    : materials_(std::make_unique<Materials>(backend, shape, most_rows)) {
  Materials& m = *materials_;
  const int64_t heads = int64_t{shape.heads} * shape.head_dim;
  const int64_t keys = int64_t{shape.kv_heads} * shape.head_dim;
  operations_.push_back(Norm(m));
  operations_.push_back(Linear(m, "qkv", heads + 2 * keys, m.input, most_rows));
  operations_.push_back(Attention(m));
  operations_.push_back(Linear(m, "o", shape.hidden, m.Activations(heads), most_rows));
  operations_.push_back(Gate(m));
  operations_.push_back(Experts(m));
  const int64_t most_sampled = std::min<int64_t>(most_rows, 256);
  operations_.push_back(Linear(m, "head", shape.vocabulary, m.input, most_sampled));
}

Workload::~Workload() = default;

}  // namespace conclave::device_check
