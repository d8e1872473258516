#pragma once

// Parameters of operators, as a model states them and a backend executes them.

#include <vector>

namespace conclave {

// RopeSpec in model.proto.
struct Rope {
  std::vector<float> inverse_frequencies;  // [rotary_dim / 2]
  float attention_factor = 1;
  int rotary_dim = 0;
  bool interleaved = false;
};

struct AttentionParams {
  int heads = 0;     // query heads; a multiple of kv_heads
  int kv_heads = 0;  // key/value heads, as in the cache
  int head_dim = 0;
  float scale = 0;
  int sliding_window = 0;  // 0: full
};

// Function between the two matmuls of a feed-forward network.
enum class Activation { kSilu };

enum class GateScoring { kSoftmaxAll, kSoftmaxTopK };

// What a gate takes at most.
constexpr int kMaxExperts = 1024;
constexpr int kMaxTopK = 32;

}  // namespace conclave
