#pragma once

// ModelSpec of model.proto as C++ structs: what the engine executes. Shapes and meanings are
// described there.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "conclave/base/element_types.h"
#include "conclave/base/operator_parameters.h"

namespace conclave {

struct CheckpointFile {
  std::string path;  // relative to the checkpoint folder
  uint64_t bytes;
};

// Where a tensor lies in the checkpoint.
struct TensorRef {
  std::string name;
  uint32_t file = 0;
  uint64_t offset = 0;
  SourceType type = SourceType::kF32;
  std::vector<int64_t> shape;

  int64_t elements() const;
  uint64_t bytes() const;
};

// MatrixRegion of model.proto: W[r, c] is element [StoredRow(r), first_col + c] of the stored
// matrix, or of its transpose.
struct MatrixRegion {
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t first_row = 0;
  int64_t row_step = 1;
  int64_t first_col = 0;
  bool transposed = false;
  int64_t row_group = 1;

  int64_t StoredRow(int64_t row) const {
    return first_row + row / row_group * row_step + row % row_group;
  }
};

// See MatrixEncoding of model.proto.
enum class MatrixEncoding { kPlain, kScaled, kPackedRows, kGptq, kAwq, kFp4, kBlocks };

// Blocks of ggml, in the order of their numbers.
enum class BlockType {
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2K,
  kQ3K,
  kQ4K,
  kQ5K,
  kQ6K,
  kIq4Nl,
  kIq4Xs,
  kMxfp4,
};

// Elements and bytes of a block.
struct BlockSize {
  int64_t elements;
  int64_t bytes;
};
BlockSize SizeOf(BlockType type);

// MatrixCodes of model.proto, and the tensors beside the codes.
struct MatrixCodes {
  MatrixEncoding encoding = MatrixEncoding::kPlain;
  int64_t rows = 0;
  int64_t cols = 0;
  int bits = 0;
  int64_t block_rows = 1;
  int64_t block_cols = 1;
  int zero_offset = 0;
  bool divides = false;
  BlockType block_type = BlockType::kQ4_0;
  std::optional<TensorRef> scales = {};
  std::optional<TensorRef> zeros = {};
  std::optional<TensorRef> group_index = {};
  std::optional<TensorRef> global_scale = {};

  int64_t row_blocks() const { return (rows - 1) / block_rows + 1; }
  int64_t col_blocks() const { return (cols - 1) / block_cols + 1; }
};

struct MatrixSpec {
  TensorRef data;  // [rows, cols], or what the region is a part of; or their codes
  std::optional<MatrixRegion> region = {};
  std::optional<MatrixCodes> codes = {};

  int64_t rows() const { return region ? region->rows : codes ? codes->rows : data.shape[0]; }
  int64_t cols() const { return region ? region->cols : codes ? codes->cols : data.shape[1]; }
  // Of its elements in the checkpoint, with what they share.
  uint64_t bytes() const;
};

struct LinearSpec {
  MatrixSpec weight;  // [out, in]
  std::optional<TensorRef> bias;
  int64_t bias_step = 1;  // elements of the tensor from one group of the bias to the next
  int64_t bias_group = 1;

  int64_t out() const { return weight.rows(); }
  int64_t in() const { return weight.cols(); }
  // Where an element of the bias lies in its tensor.
  int64_t BiasElement(int64_t i) const { return i / bias_group * bias_step + i % bias_group; }
};

struct NormSpec {
  NormKind kind = NormKind::kRms;
  std::optional<TensorRef> weight;  // absent: ones
  float weight_offset = 0;          // added to the weight
  float weight_multiplier = 1;      // multiplies it then
  std::optional<TensorRef> bias;
  float epsilon = 0;

  uint64_t bytes() const { return (weight ? weight->bytes() : 0) + (bias ? bias->bytes() : 0); }
};

// Over what queries and keys are normalised; kEachHead: over each head with weights of its own.
enum class QkNorm { kNone, kPerHead, kFullWidth, kEachHead };

// What of a sequence attention reads; see IndexerSpec in model.proto.
struct IndexerSpec {
  SelectionParams params;
  std::optional<int> rope;  // of the first elements of a head; absent: no rotation
  LinearSpec q, k;
  std::optional<NormSpec> q_norm;
  NormSpec k_norm;
  std::optional<LinearSpec> weights;  // [heads, H]; absent: each head selects by itself

  int selectors() const { return weights ? 1 : params.heads; }
};

// Of what attention's outputs are multiplied by.
enum class GateFunction { kSigmoid, kSilu, kSoftplus };

struct GqaSpec {
  AttentionParams heads;
  std::optional<int> rope;  // absent: no rotation
  LinearSpec q, k, v, o;
  std::optional<NormSpec> q_norm, k_norm;
  std::optional<NormSpec> v_norm;  // of each head
  bool keys_are_values = false;    // v is k: values are keys as they are projected
  float value_multiplier = 1;
  QkNorm qk_norm = QkNorm::kNone;
  bool norm_after_rope = false;
  float clip_qkv = 0;
  std::optional<QueryScaling> query_scaling;
  std::optional<TensorRef> sinks;         // [heads]
  std::optional<LinearSpec> output_gate;  // [heads * value width, H], or [heads, H]
  GateFunction gate_function = GateFunction::kSigmoid;
  std::optional<IndexerSpec> indexer;
  std::optional<int> cache_layer;  // whose keys and values are read; there is no k and no v then
};

struct MlaSpec {
  int heads = 0;
  int plain_dim = 0;
  int rotary_dim = 0;
  int value_dim = 0;
  int latent_dim = 0;
  float scale = 0;
  std::optional<int> rope;  // absent: no rotation
  std::optional<LinearSpec> q_down;
  std::optional<NormSpec> q_norm;  // of q_down's
  LinearSpec q, latent, o;
  NormSpec latent_norm;
  MatrixSpec expand;  // [heads * (plain_dim + value_dim), latent_dim]
  std::optional<QueryScaling> query_scaling;
  std::optional<LinearSpec> output_gate;  // [heads, H]
  std::optional<IndexerSpec> indexer;
  bool shares_selection = false;  // reads what the last indexer before selected

  int key_dim() const { return latent_dim + rotary_dim; }  // of what is cached
};

// One row for each span of positions.
struct CompressorSpec {
  FoldParams fold;
  LinearSpec value, gate;  // [width, H], or twice as wide where spans overlap
  MatrixSpec bias;         // [span, as wide]
  NormSpec norm;           // [width]

  int64_t stored() const { return value.out(); }
  int64_t width() const { return fold.overlapping ? stored() / 2 : stored(); }
  int64_t state_elements() const { return 3 * stored(); }
};

// Selects the entries that attention reads; see EntryIndexerSpec in model.proto.
struct EntryIndexerSpec {
  SelectionParams params;
  LinearSpec q;        // [heads * head_dim, rank]
  LinearSpec weights;  // [heads, H]
  CompressorSpec keys;
};

struct CompressedAttentionSpec {
  AttentionParams heads;  // of one key/value head, whose values are its keys
  int window = 0;         // positions whose own keys are read
  int rope = 0;           // of the last elements of a head
  LinearSpec q_down;
  NormSpec q_down_norm;
  LinearSpec q;
  NormSpec q_norm;  // of each head
  LinearSpec key;
  NormSpec key_norm;
  std::optional<TensorRef> sinks;  // [heads]
  int groups = 0;                  // of heads, whose outputs are reduced together
  LinearSpec reduce;               // [groups * rank, heads / groups * head_dim]
  LinearSpec output;               // [H, groups * rank]
  std::optional<CompressorSpec> compressor;
  std::optional<EntryIndexerSpec> indexer;

  int span() const { return compressor ? compressor->fold.span : 0; }
};

struct RunningSumSpec {
  int heads = 0;
  int head_dim = 0;
  LinearSpec value;   // [heads * head_dim, H]
  LinearSpec output;  // [H, heads * head_dim]
};

struct ConvolutionSpec {
  MatrixSpec taps;  // [columns, count]
  std::optional<TensorRef> bias;

  int64_t count() const { return taps.cols(); }
  uint64_t bytes() const { return taps.bytes() + (bias ? bias->bytes() : 0); }
};

enum class WriteGate { kSigmoid, kSoftplus };

struct LinearAttentionSpec {
  LinearAttentionParams heads;
  LinearSpec q, k, v;
  ConvolutionSpec q_convolution, k_convolution, v_convolution;
  bool normalise = false;
  float scale = 1;
  LinearSpec write;
  WriteGate write_gate = WriteGate::kSigmoid;
  std::optional<LinearSpec> decay_down;  // [rank, H]: what decay reads
  std::optional<LinearSpec> decay;       // [value heads or value heads * key_dim, rank or H]
  float decay_bound = 0;
  TensorRef step_bias;   // as many as decays
  TensorRef decay_rate;  // [value heads]
  float step_min = 0;
  float step_max = 0;
  std::optional<TensorRef> skip;        // [value heads]
  std::optional<LinearSpec> gate_down;  // [rank, H]: what gate reads
  LinearSpec gate;
  GateFunction gate_function = GateFunction::kSilu;
  bool norm_after_gate = false;
  NormSpec norm;
  int norm_heads = 1;
  LinearSpec output;

  // Of decays, one for each value head or for each element of its keys.
  int64_t decays_per_head() const {
    return decay && decay->out() != heads.value_heads ? heads.key_dim : 1;
  }
  int value_heads_per_key() const { return heads.value_heads / heads.key_heads; }
  int64_t key_width() const { return int64_t{heads.key_heads} * heads.key_dim; }
  int64_t value_width() const { return int64_t{heads.value_heads} * heads.value_dim; }
};

struct ShortConvolutionSpec {
  LinearSpec input_gate, output_gate, value;  // [width, H]
  ConvolutionSpec convolution;
  LinearSpec output;  // [H, width]

  int64_t width() const { return value.out(); }
};

struct SelectiveScanSpec {
  LinearSpec value, gate;  // [width, H]
  ConvolutionSpec convolution;
  LinearSpec step_down, write, read;  // [rank or states, width]
  NormSpec step_norm, write_norm, read_norm;
  LinearSpec step;        // [width, rank]; its bias is added before the softplus
  MatrixSpec decay_rate;  // [width, states]
  TensorRef skip;         // [width]
  LinearSpec output;      // [H, width]

  int64_t width() const { return value.out(); }
  int64_t states() const { return write.out(); }
};

struct TokenInputSpec {
  MatrixSpec embedding;  // [V, D]
  float embedding_multiplier = 1;
  LinearSpec projection;  // [D, H]
  NormSpec norm;
  LinearSpec gate;    // [D, H]
  LinearSpec output;  // [H, D]

  int64_t width() const { return gate.out(); }
};

struct FfnSpec {
  std::optional<LinearSpec> gate;
  LinearSpec up, down;
  ActivationParams activation;

  int64_t width() const { return up.out(); }
};

struct DenseSpec {
  FfnSpec ffn;
  std::optional<MatrixSpec> output_gate;  // [1, H]
  float multiplier = 1;
};

struct GateSpec {
  LinearSpec linear;  // [experts, H]
  int top_k = 0;
  GateScoring scoring = GateScoring::kSoftmaxAll;
  float weight_multiplier = 1;
  bool renormalise = false;
  float smallest_sum = 0;
  float jitter = 0;
  float softcap = 0;
  GateGroups groups;
  std::optional<TensorRef> correction;  // [experts]
  std::optional<TensorRef> scales;      // [experts]
  std::optional<NormSpec> norm;         // of the residual stream, which the gate then reads
  std::optional<TensorRef> table;       // [V, top_k]: the experts of each token
};

// Where one tensor of every expert lies, by expert.
struct TensorPlaces {
  std::vector<uint32_t> files;
  std::vector<uint64_t> offsets;
  std::vector<SourceType> types;
};

// Every tensor of a network, in the order of ExpertTable.places in model.proto.
std::vector<TensorRef*> TensorsOf(FfnSpec& ffn);

// The experts of a layer: alike but for where their tensors lie.
struct ExpertTable {
  int count = 0;
  FfnSpec expert;                    // `{}` in names stands for the id
  std::vector<TensorPlaces> places;  // of each of its tensors

  FfnSpec Expert(int id) const;
};

struct MoeSpec {
  GateSpec gate;
  ExpertTable experts;
  ExpertWeights weights = ExpertWeights::kOnOutput;
  int identity_experts = 0;                 // their ids follow those of `experts`
  std::optional<LinearSpec> input, output;  // [W, H], [H, W], around experts of that width

  // Experts that the gate picks from.
  int choices() const { return experts.count + identity_experts; }
  // Elements that experts read and give.
  int64_t width() const { return experts.expert.down.out(); }
};

struct PagedCacheSpec {
  int heads = 0;
  int key_width = 0;
  int value_width = 0;
  bool values_inside_keys = false;
  bool replicated = false;  // every tensor-parallel rank keeps all heads
  int index_width = 0;      // of the key by which positions are selected; 0: none

  bool operator==(const PagedCacheSpec&) const = default;
};

struct StateSpec {
  int heads = 0;
  int64_t elements = 0;  // of a head, in f32

  bool operator==(const StateSpec&) const = default;
};

struct FixedCacheSpec {
  std::vector<StateSpec> states;

  bool operator==(const FixedCacheSpec&) const = default;
};

// See CompressedCacheSpec in model.proto.
struct CompressedCacheSpec {
  int key_width = 0;
  int span = 0;                // 0: keys alone
  int index_width = 0;         // 0: entries have no index keys
  int64_t state_elements = 0;  // in f32

  bool operator==(const CompressedCacheSpec&) const = default;
};

using CacheSpec = std::variant<PagedCacheSpec, FixedCacheSpec, CompressedCacheSpec>;

struct OperatorSpec {
  std::variant<GqaSpec, MlaSpec, DenseSpec, MoeSpec, RunningSumSpec, LinearAttentionSpec,
               ShortConvolutionSpec, SelectiveScanSpec, CompressedAttentionSpec, TokenInputSpec>
      kind;
  std::optional<CacheSpec> cache;

  // Whether a row's output depends on earlier rows of its sequence.
  bool mixes() const;
};

// By what a block or the head reads the residual's streams.
struct StreamMixSpec {
  MatrixSpec weight;  // [n (2 + n), n * H] of n streams; of the head, [n, n * H]
  TensorRef base;     // as many
  TensorRef scale;    // [3]; of the head, [1]
  float norm_epsilon = 0;
  float epsilon = 0;
  int iterations = 0;

  uint64_t bytes() const { return weight.bytes() + base.bytes() + scale.bytes(); }
};

struct BlockSpec {
  std::optional<NormSpec> pre_norm;
  std::vector<OperatorSpec> operators;
  std::optional<NormSpec> post_norm;
  bool aside = false;                 // the result waits for a block that joins it instead
  bool join = false;                  // what waits is added to the result
  std::optional<NormSpec> join_norm;  // of both
  float residual_multiplier = 1;
  std::optional<StreamMixSpec> mix;  // where the residual has several streams

  // The operator of a kind; null when there is none.
  template <typename Kind>
  const Kind* Find() const {
    for (const OperatorSpec& op : operators) {
      if (const Kind* found = std::get_if<Kind>(&op.kind)) return found;
    }
    return nullptr;
  }

  // The operator whose rows depend on earlier ones; null when there is none.
  const OperatorSpec* FindMixer() const {
    for (const OperatorSpec& op : operators) {
      if (op.mixes()) return &op;
    }
    return nullptr;
  }
};

struct LayerSpec {
  std::vector<BlockSpec> blocks;
  std::optional<TensorRef> scale;  // [1], multiplies the residual stream after them
  bool with_previous = false;      // reads what earlier layers left

  // The operator of a kind, of which a layer has at most one; null when there is none.
  template <typename Kind>
  const Kind* Find() const {
    for (const BlockSpec& block : blocks) {
      if (const Kind* found = block.Find<Kind>()) return found;
    }
    return nullptr;
  }

  // Its operator whose rows depend on earlier ones, at most one; null when there is none.
  const OperatorSpec* FindMixer() const {
    for (const BlockSpec& block : blocks) {
      if (const OperatorSpec* found = block.FindMixer()) return found;
    }
    return nullptr;
  }
};

struct ModelSpec {
  std::string name;
  int64_t hidden_size = 0;
  int64_t vocab_size = 0;
  std::vector<CheckpointFile> files;
  MatrixSpec embedding;
  float embedding_multiplier = 1;
  std::vector<Rope> ropes;
  int streams = 1;  // of the residual
  std::vector<LayerSpec> layers;
  std::optional<StreamMixSpec> head_mix;  // where there are several
  NormSpec final_norm;
  LinearSpec head;
  float logit_multiplier = 1;
  float logit_softcap = 0;  // 0: none

  int64_t residual_width() const { return streams * hidden_size; }
};

// Checks that every tensor lies in its file and has the shape that its role needs, and that every
// parameter is one that the engine can execute. Throws kInvalidArgument, kCorruptCheckpoint or
// kUnsupported naming the tensor or the parameter.
void ValidateSpec(const ModelSpec& spec);

}  // namespace conclave
