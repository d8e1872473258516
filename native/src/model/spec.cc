#include "conclave/model/spec.h"

#include <cmath>

#include "conclave/base/message.h"

namespace conclave {
namespace {

// So that rows * hidden * 4 bytes fit 63 bits for any number of rows that fits 31.
constexpr int64_t kMaxHidden = int64_t{1} << 24;
// Tokens are int32.
constexpr int64_t kMaxVocabulary = (int64_t{1} << 31) - 1;

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

void CheckPositive(const std::string& path, float value) {
  if (!std::isfinite(value) || value <= 0) {
    Fail(ErrorCode::kInvalidArgument, path, ": expected a finite number above 0, got ", value);
  }
}

void CheckFinite(const std::string& path, float value) {
  if (!std::isfinite(value))
    Fail(ErrorCode::kInvalidArgument, path, ": expected a finite number, got ", value);
}

void CheckFromZero(const std::string& path, float value) {
  if (!std::isfinite(value) || value < 0)
    Fail(ErrorCode::kInvalidArgument, path, ": expected a finite number from 0, got ", value);
}

class SpecValidator {
 public:
  explicit SpecValidator(const ModelSpec& spec) : spec_(spec) {}

  void Run() {
    CheckSizes();
    Matrix("embedding", spec_.embedding, spec_.vocab_size, spec_.hidden_size);
    CheckFinite("embeddingMultiplier", spec_.embedding_multiplier);
    for (size_t i = 0; i < spec_.ropes.size(); ++i)
      CheckRope(Message("ropes[", i, "]"), spec_.ropes[i]);
    for (size_t i = 0; i < spec_.layers.size(); ++i)
      CheckLayer(Message("layers[", i, "]"), spec_.layers[i]);
    Norm("finalNorm", spec_.final_norm, spec_.hidden_size);
    Linear("head", spec_.head, spec_.vocab_size, spec_.hidden_size);
    CheckFinite("logitMultiplier", spec_.logit_multiplier);
    CheckFromZero("logitSoftcap", spec_.logit_softcap);
  }

 private:
  void CheckSizes() {
    if (spec_.hidden_size < 1 || spec_.hidden_size > kMaxHidden) {
      Fail(ErrorCode::kInvalidArgument, "hiddenSize: expected 1 to 2^24, got ", spec_.hidden_size);
    }
    if (spec_.vocab_size < 1 || spec_.vocab_size > kMaxVocabulary) {
      Fail(ErrorCode::kInvalidArgument, "vocabSize: expected 1 to 2^31 - 1, got ",
           spec_.vocab_size);
    }
    if (spec_.layers.empty()) Fail(ErrorCode::kInvalidArgument, "layers: expected at least one");
  }

  void Tensor(const std::string& path, const TensorRef& tensor, const std::vector<int64_t>& shape) {
    if (tensor.shape != shape) {
      Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor.name, " (", path, "): expected shape ",
           ShapeText(shape), ", got ", ShapeText(tensor.shape));
    }
    if (tensor.file >= spec_.files.size()) {
      Fail(ErrorCode::kInvalidArgument, "tensor ", tensor.name, " (", path, "): file ", tensor.file,
           " of ", spec_.files.size());
    }
    uint64_t end = 0;
    uint64_t bytes = ElementBytes(tensor.type);
    for (const int64_t length : shape) {
      if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(length), &bytes)) bytes = UINT64_MAX;
    }
    const CheckpointFile& file = spec_.files[tensor.file];
    if (__builtin_add_overflow(tensor.offset, bytes, &end) || end > file.bytes) {
      Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor.name, ": ", bytes, " bytes at offset ",
           tensor.offset, " do not lie within the ", file.bytes, " bytes of ", file.path);
    }
  }

  void Matrix(const std::string& path, const MatrixSpec& matrix, int64_t rows, int64_t cols) {
    if (!matrix.region) return Tensor(path, matrix.data, {rows, cols});
    Tensor(path, matrix.data, matrix.data.shape);
    const MatrixRegion& region = *matrix.region;
    const auto& shape = matrix.data.shape;
    if (region.rows != rows || region.cols != cols || shape.size() != 2) {
      Fail(ErrorCode::kCorruptCheckpoint, "tensor ", matrix.data.name, " (", path,
           "): expected a region [", rows, ", ", cols, "] of a matrix, got [", region.rows, ", ",
           region.cols, "] of ", ShapeText(shape));
    }
    const int64_t last_row = region.first_row + (rows - 1) * region.row_step;
    const int64_t last_col = region.first_col + cols - 1;
    const bool inside = region.first_row >= 0 && region.first_col >= 0 && region.row_step >= 1 &&
                        last_row < shape[region.transposed ? 1 : 0] &&
                        last_col < shape[region.transposed ? 0 : 1];
    if (!inside) {
      Fail(ErrorCode::kInvalidArgument, path, ".region: expected one within ", ShapeText(shape),
           ", got rows from ", region.first_row, " to ", last_row, ", columns from ",
           region.first_col, " to ", last_col);
    }
  }

  void Linear(const std::string& path, const LinearSpec& linear, int64_t out, int64_t in) {
    Matrix(path + ".weight", linear.weight, out, in);
    if (linear.bias) Bias(path + ".bias", *linear.bias, out, linear.bias_step);
  }

  void Bias(const std::string& path, const TensorRef& bias, int64_t length, int64_t step) {
    if (step == 1) return Tensor(path, bias, {length});
    Tensor(path, bias, bias.shape);
    if (bias.shape.size() == 1 && (length - 1) * step < bias.shape[0]) return;
    Fail(ErrorCode::kCorruptCheckpoint, "tensor ", bias.name, " (", path, "): expected ", length,
         " elements at steps of ", step, ", got shape ", ShapeText(bias.shape));
  }

  void Norm(const std::string& path, const NormSpec& norm, int64_t width) {
    if (norm.weight) Tensor(path + ".weight", *norm.weight, {width});
    if (norm.bias) Tensor(path + ".bias", *norm.bias, {width});
    if (norm.bias && norm.kind != NormKind::kLayer) {
      Fail(ErrorCode::kUnsupported, path, ".bias: of a norm that is no layer norm, which is not ",
           "supported");
    }
    CheckFinite(path + ".weightOffset", norm.weight_offset);
    CheckFromZero(path + ".epsilon", norm.epsilon);
  }

  void CheckRope(const std::string& path, const Rope& rope) {
    if (rope.rotary_dim < 0 ||
        static_cast<size_t>(rope.rotary_dim) != 2 * rope.inverse_frequencies.size()) {
      Fail(ErrorCode::kInvalidArgument, path, ".rotaryDim: expected twice the ",
           rope.inverse_frequencies.size(), " inverse frequencies, got ", rope.rotary_dim);
    }
    CheckFinite(path + ".attentionFactor", rope.attention_factor);
    for (const float frequency : rope.inverse_frequencies)
      CheckFinite(path + ".inverseFrequencies", frequency);
  }

  void CheckLayer(const std::string& path, const LayerSpec& layer) {
    if (layer.blocks.empty())
      Fail(ErrorCode::kInvalidArgument, path, ".blocks: expected at least one");
    Kinds seen;
    for (size_t i = 0; i < layer.blocks.size(); ++i)
      CheckBlock(Message(path, ".blocks[", i, "]"), layer.blocks[i], seen);
  }

  // Operators of each kind that a layer has had so far: those that keep something of sequences are
  // one kind.
  struct Kinds {
    int mixers = 0;
    int dense = 0;
    int moe = 0;
  };

  void CheckBlock(const std::string& path, const BlockSpec& block, Kinds& seen) {
    if (block.operators.empty())
      Fail(ErrorCode::kInvalidArgument, path, ".operators: expected at least one");
    if (!block.pre_norm) {
      Fail(ErrorCode::kUnsupported, path, ".preNorm: operators without a norm before them are ",
           "not supported");
    }
    if (block.post_norm) Norm(path + ".postNorm", *block.post_norm, spec_.hidden_size);
    Norm(path + ".preNorm", *block.pre_norm, spec_.hidden_size);
    for (size_t i = 0; i < block.operators.size(); ++i)
      CheckOperator(Message(path, ".operators[", i, "]"), block.operators[i], seen);
    CheckFinite(path + ".residualMultiplier", block.residual_multiplier);
  }

  // Ranks and routes find an operator by its layer and kind.
  void CheckOnly(const std::string& path, int& count) {
    if (++count == 1) return;
    Fail(ErrorCode::kUnsupported, path,
         ": a second operator of its kind in one layer, which is not supported");
  }

  void CheckOperator(const std::string& path, const OperatorSpec& op, Kinds& seen) {
    decltype(op.cache) cache;
    if (const auto* gqa = std::get_if<GqaSpec>(&op.kind)) {
      CheckOnly(path + ".gqa", seen.mixers);
      CheckGqa(path + ".gqa", *gqa);
      cache = PagedCacheSpec{gqa->heads.kv_heads, gqa->heads.head_dim, gqa->heads.head_dim};
    } else if (const auto* sum = std::get_if<RunningSumSpec>(&op.kind)) {
      CheckOnly(path + ".runningSum", seen.mixers);
      CheckRunningSum(path + ".runningSum", *sum);
      cache = FixedCacheSpec{{{sum->heads, sum->head_dim}}};
    } else if (const auto* dense = std::get_if<DenseSpec>(&op.kind)) {
      CheckOnly(path + ".dense", seen.dense);
      CheckFfn(path + ".dense.ffn", dense->ffn);
      if (dense->output_gate)
        Matrix(path + ".dense.outputGate", *dense->output_gate, 1, spec_.hidden_size);
    } else {
      CheckOnly(path + ".moe", seen.moe);
      CheckMoe(path + ".moe", std::get<MoeSpec>(op.kind));
    }
    if (op.cache != cache) {
      Fail(ErrorCode::kInvalidArgument, path, ".cache: expected ",
           cache ? "the operator's heads and their widths" : "none");
    }
  }

  void CheckRunningSum(const std::string& path, const RunningSumSpec& spec) {
    if (spec.heads < 1 || spec.head_dim < 1) {
      Fail(ErrorCode::kInvalidArgument, path, ".heads, headDim: expected at least 1, got ",
           spec.heads, ", ", spec.head_dim);
    }
    const int64_t width = int64_t{spec.heads} * spec.head_dim;
    Linear(path + ".value", spec.value, width, spec_.hidden_size);
    Linear(path + ".output", spec.output, spec_.hidden_size, width);
  }

  void CheckGqa(const std::string& path, const GqaSpec& spec) {
    const AttentionParams& a = spec.heads;
    if (a.heads < 1 || a.kv_heads < 1 || a.heads % a.kv_heads != 0) {
      Fail(ErrorCode::kInvalidArgument, path, ".heads: expected a multiple of kvHeads ", a.kv_heads,
           ", got ", a.heads);
    }
    if (a.head_dim < 1)
      Fail(ErrorCode::kInvalidArgument, path, ".headDim: expected at least 1, got ", a.head_dim);
    if (spec.rope) CheckRopeOf(path + ".rope", *spec.rope, a.head_dim);
    CheckFromZero(path + ".clipQkv", spec.clip_qkv);
    CheckFromZero(path + ".softcap", a.softcap);
    if (spec.query_scaling) CheckFinite(path + ".queryScaling.factor", spec.query_scaling->factor);
    CheckPositive(path + ".scale", a.scale);
    const int64_t q_width = int64_t{a.heads} * a.head_dim;
    const int64_t kv_width = int64_t{a.kv_heads} * a.head_dim;
    Linear(path + ".q", spec.q, q_width, spec_.hidden_size);
    Linear(path + ".k", spec.k, kv_width, spec_.hidden_size);
    Linear(path + ".v", spec.v, kv_width, spec_.hidden_size);
    Linear(path + ".o", spec.o, spec_.hidden_size, q_width);
    if (spec.output_gate)
      Linear(path + ".outputGate", *spec.output_gate, q_width, spec_.hidden_size);
    if (spec.sinks) Tensor(path + ".sinks", *spec.sinks, {a.heads});
    if ((spec.q_norm || spec.k_norm) && spec.qk_norm == QkNorm::kNone) {
      Fail(ErrorCode::kInvalidArgument, path,
           ".qkNorm: expected PER_HEAD, FULL_WIDTH or EACH_HEAD where qNorm or kNorm is present");
    }
    const bool per_head = spec.qk_norm == QkNorm::kPerHead;
    if (spec.q_norm) Norm(path + ".qNorm", *spec.q_norm, per_head ? a.head_dim : q_width);
    if (spec.k_norm) Norm(path + ".kNorm", *spec.k_norm, per_head ? a.head_dim : kv_width);
  }

  void CheckRopeOf(const std::string& path, int rope, int head_dim) {
    if (rope < 0 || static_cast<size_t>(rope) >= spec_.ropes.size()) {
      Fail(ErrorCode::kInvalidArgument, path, ": expected an index below ", spec_.ropes.size(),
           ", got ", rope);
    }
    if (spec_.ropes[rope].rotary_dim > head_dim) {
      Fail(ErrorCode::kInvalidArgument, path, ": rotates ", spec_.ropes[rope].rotary_dim,
           " dimensions of a head of ", head_dim);
    }
  }

  void CheckFfn(const std::string& path, const FfnSpec& ffn) {
    const TensorRef& gate = ffn.gate.weight.data;
    const int64_t width = gate.shape.empty() ? 0 : ffn.gate.weight.rows();
    if (width < 1) {
      Fail(ErrorCode::kCorruptCheckpoint, "tensor ", gate.name, " (", path,
           ".gate.weight): expected shape [width, ", spec_.hidden_size, "], got ",
           ShapeText(gate.shape));
    }
    Linear(path + ".gate", ffn.gate, width, spec_.hidden_size);
    Linear(path + ".up", ffn.up, width, spec_.hidden_size);
    Linear(path + ".down", ffn.down, spec_.hidden_size, width);
    const Activation function = ffn.activation.function;
    if (function == Activation::kClampedSwiglu || function == Activation::kClampedSilu)
      CheckPositive(path + ".activationLimit", ffn.activation.limit);
  }

  void CheckMoe(const std::string& path, const MoeSpec& moe) {
    const int experts = moe.experts.count;
    if (experts < 1 || experts > kMaxExperts) {
      Fail(experts < 1 ? ErrorCode::kInvalidArgument : ErrorCode::kUnsupported, path,
           ".experts: expected 1 to ", kMaxExperts, ", got ", experts);
    }
    if (moe.gate.top_k < 1 || moe.gate.top_k > experts) {
      Fail(ErrorCode::kInvalidArgument, path, ".gate.topK: expected 1 to ", experts, ", got ",
           moe.gate.top_k);
    }
    if (moe.gate.top_k > kMaxTopK) {
      Fail(ErrorCode::kUnsupported, path, ".gate.topK: expected 1 to ", kMaxTopK, ", got ",
           moe.gate.top_k);
    }
    CheckFinite(path + ".gate.weightMultiplier", moe.gate.weight_multiplier);
    CheckGate(path + ".gate", moe.gate, experts);
    const FfnSpec& expert = moe.experts.expert;
    const LinearSpec* const linears[] = {&expert.gate, &expert.up, &expert.down};
    std::vector<TensorPlaces> columns(moe.experts.places.begin(), moe.experts.places.end());
    for (size_t i = 0; i < moe.experts.biases.size(); ++i)
      if (linears[i]->bias) columns.push_back(moe.experts.biases[i]);
    for (const TensorPlaces& places : columns) {
      for (const size_t size : {places.files.size(), places.offsets.size(), places.types.size()}) {
        if (size == static_cast<size_t>(experts)) continue;
        Fail(ErrorCode::kInvalidArgument, path, ".experts.places: expected a place for each of ",
             experts, " experts, got ", size);
      }
    }
    for (int e = 0; e < experts; ++e)
      CheckFfn(Message(path, ".experts[", e, "]"), moe.experts.Expert(e));
  }

  void CheckGate(const std::string& path, const GateSpec& gate, int experts) {
    Linear(path, gate.linear, experts, spec_.hidden_size);
    if (gate.correction) Tensor(path + ".correction", *gate.correction, {experts});
    CheckFromZero(path + ".smallestSum", gate.smallest_sum);
    CheckFromZero(path + ".jitter", gate.jitter);
    const auto& [count, kept, by_two] = gate.groups;
    const bool picks = count > 0 || gate.correction;
    if (picks &&
        (gate.scoring == GateScoring::kSoftmaxTopK || gate.scoring == GateScoring::kSparsemixer)) {
      Fail(ErrorCode::kUnsupported, path, ".scoring: with groups or a correction, experts are ",
           "picked by SOFTMAX_ALL, SIGMOID or SQRT_SOFTPLUS only");
    }
    if (count == 0) return;
    if (experts % count != 0) {
      Fail(ErrorCode::kInvalidArgument, path, ".groups.count: expected a divisor of the ", experts,
           " experts, got ", count);
    }
    if (kept < 1 || kept > count || kept * (experts / count) < gate.top_k) {
      Fail(ErrorCode::kInvalidArgument, path, ".groups.kept: expected up to ", count,
           " groups that hold the top ", gate.top_k, " experts, got ", kept);
    }
  }

  const ModelSpec& spec_;
};

}  // namespace

int64_t TensorRef::elements() const {
  int64_t count = 1;
  for (const int64_t length : shape) count *= length;
  return count;
}

uint64_t TensorRef::bytes() const { return static_cast<uint64_t>(elements()) * ElementBytes(type); }

FfnSpec ExpertTable::Expert(int id) const {
  FfnSpec own = expert;
  LinearSpec* const linears[] = {&own.gate, &own.up, &own.down};
  const auto place = [id](TensorRef& tensor, const TensorPlaces& column) {
    const auto e = static_cast<size_t>(id);
    tensor.file = column.files[e];
    tensor.offset = column.offsets[e];
    tensor.type = column.types[e];
    const size_t mark = tensor.name.find("{}");
    if (mark != std::string::npos) tensor.name.replace(mark, 2, std::to_string(id));
  };
  for (size_t i = 0; i < places.size(); ++i) {
    place(linears[i]->weight.data, places[i]);
    if (linears[i]->bias) place(*linears[i]->bias, biases[i]);
  }
  return own;
}

void ValidateSpec(const ModelSpec& spec) { SpecValidator(spec).Run(); }

}  // namespace conclave
