#pragma once

// Parameters of operators, as a model states them and a backend executes them.

#include <cstdint>
#include <vector>

namespace conclave {

// RopeSpec in model.proto.
struct Rope {
  std::vector<float> inverse_frequencies;  // [rotary_dim / 2]
  float attention_factor = 1;
  int rotary_dim = 0;
  bool interleaved = false;
  int offset = 0;  // added to positions
};

struct AttentionParams {
  int heads = 0;     // query heads; a multiple of kv_heads
  int kv_heads = 0;  // key/value heads, as in the cache
  int head_dim = 0;
  int values_inside = 0;  // values are the first so many elements of keys; 0: they are beside them
  int value_dim = 0;      // of values beside keys; 0: as wide as keys
  float scale = 0;
  int sliding_window = 0;  // 0: full
  int chunk = 0;           // positions that see each other lie in one chunk of this many; 0: any
  float softcap = 0;       // scores s become softcap * tanh(s / softcap); 0: they stay

  int value_width() const {
    return values_inside > 0 ? values_inside : value_dim > 0 ? value_dim : head_dim;
  }
};

// How rows select the positions that they read; see IndexerSpec in model.proto.
struct SelectionParams {
  int heads = 0;
  int head_dim = 0;
  int kept = 0;        // blocks that a row keeps
  int block_size = 1;  // positions of a block
  int latest = 0;      // of the blocks kept: the row's own and those before it
  int span = 1;        // positions that one key stands for; see Backend::SelectKeys
};

// How rows are folded to one for each span of positions; see CompressorSpec in model.proto.
struct FoldParams {
  int span = 0;
  bool overlapping = false;  // the span before is folded in too, by columns of its own
};

// Blocks of a paged cache that hold entries, one for each span of positions, and then so many
// positions: entry e is slot e % entries of the sequence's block e / entries.
struct SlotLayout {
  int positions = 0;  // of a block
  int entries = 0;    // of a block
  int span = 1;

  int slots() const { return positions + entries; }
  // Of a position, counted from the sequence's first block.
  int64_t SlotOf(int64_t position) const {
    return position / positions * slots() + entries + position % positions;
  }
};

// Parallel streams of the residual; see StreamMixSpec in model.proto.
struct StreamParams {
  int streams = 1;
  int iterations = 0;  // by which what streams give each other is balanced
  float epsilon = 0;
};

// q[r] *= 1 + factor * ln(1 + floor((position[r] + offset) / interval)).
struct QueryScaling {
  float factor = 0;
  int interval = 0;
  int offset = 0;
};

// Linear attention; see LinearAttentionSpec in model.proto. Value head h reads the queries and keys
// of key head h / (value_heads / key_heads).
struct LinearAttentionParams {
  int key_heads = 0;
  int value_heads = 0;  // a multiple of key_heads
  int key_dim = 0;
  int value_dim = 0;
  bool delta = false;  // what the state already gives for a key is not written again
};

// What a norm divides by: the root of the mean square, or, of elements less their mean, the
// standard deviation.
enum class NormKind { kRms, kLayer };

// Function between the two matmuls of a feed-forward network, of the gate's output g and up's u.
enum class Activation {
  kSilu,           // g * sigmoid(g) * u
  kGeluTanh,       // g * Phi(g) * u, the normal distribution's Phi by its tanh approximation
  kClampedSwiglu,  // g * sigmoid(1.702 g) * (u + 1), g at most `limit`, u within [-limit, limit]
  kClampedSilu,    // g * sigmoid(g) * u, clamped so
  kReluSquared,    // max(u, 0)^2; there is no gate
};

struct ActivationParams {
  Activation function = Activation::kSilu;
  float limit = 0;  // of the clamped ones
};

// From the logits of a row to the scores of its experts; see GateScoring in model.proto.
enum class GateScoring { kSoftmaxAll, kSoftmaxTopK, kSigmoid, kSqrtSoftplus, kSparsemixer };

// Where an expert's weight applies.
enum class ExpertWeights { kOnOutput, kOnInput };

// Experts are picked from the best groups only.
struct GateGroups {
  int count = 0;        // groups of equal size; 0: no groups
  int kept = 0;         // groups that stay
  bool by_two = false;  // a group is as good as the sum of its two best experts; else as the best
};

// Streams of the residual at most.
constexpr int kMaxStreams = 16;

// What a gate takes at most.
constexpr int kMaxExperts = 1024;
constexpr int kMaxTopK = 32;

}  // namespace conclave
