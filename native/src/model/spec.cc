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

class SpecValidator {
 public:
  explicit SpecValidator(const ModelSpec& spec) : spec_(spec) {}

  void Run() {
    CheckSizes();
    Tensor("embedding", spec_.embedding, {spec_.vocab_size, spec_.hidden_size});
    CheckFinite("embeddingMultiplier", spec_.embedding_multiplier);
    for (size_t i = 0; i < spec_.ropes.size(); ++i)
      CheckRope(Message("ropes[", i, "]"), spec_.ropes[i]);
    for (size_t i = 0; i < spec_.layers.size(); ++i)
      CheckLayer(Message("layers[", i, "]"), spec_.layers[i]);
    Norm("finalNorm", spec_.final_norm, spec_.hidden_size);
    Linear("head", spec_.head, spec_.vocab_size, spec_.hidden_size);
    CheckFinite("logitMultiplier", spec_.logit_multiplier);
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

  void Linear(const std::string& path, const LinearSpec& linear, int64_t out, int64_t in) {
    Tensor(path + ".weight", linear.weight, {out, in});
    if (linear.bias) Tensor(path + ".bias", *linear.bias, {out});
  }

  void Norm(const std::string& path, const NormSpec& norm, int64_t width) {
    Tensor(path + ".weight", norm.weight, {width});
    if (!std::isfinite(norm.epsilon) || norm.epsilon < 0) {
      Fail(ErrorCode::kInvalidArgument, path, ".epsilon: expected a finite number from 0, got ",
           norm.epsilon);
    }
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
    Norm(path + ".attentionNorm", layer.attention_norm, spec_.hidden_size);
    CheckAttention(path + ".attention", layer.attention);
    Norm(path + ".ffnNorm", layer.ffn_norm, spec_.hidden_size);
    if (const MoeSpec* moe = layer.moe()) {
      CheckMoe(path + ".moe", *moe);
    } else {
      CheckFfn(path + ".dense", std::get<DenseFfnSpec>(layer.ffn));
    }
    CheckFinite(path + ".residualMultiplier", layer.residual_multiplier);
  }

  void CheckAttention(const std::string& path, const AttentionSpec& a) {
    if (a.heads < 1 || a.kv_heads < 1 || a.heads % a.kv_heads != 0) {
      Fail(ErrorCode::kInvalidArgument, path, ".heads: expected a multiple of kvHeads ", a.kv_heads,
           ", got ", a.heads);
    }
    if (a.head_dim < 1)
      Fail(ErrorCode::kInvalidArgument, path, ".headDim: expected at least 1, got ", a.head_dim);
    if (a.rope < 0 || static_cast<size_t>(a.rope) >= spec_.ropes.size()) {
      Fail(ErrorCode::kInvalidArgument, path, ".rope: expected an index below ", spec_.ropes.size(),
           ", got ", a.rope);
    }
    if (spec_.ropes[a.rope].rotary_dim > a.head_dim) {
      Fail(ErrorCode::kInvalidArgument, path, ".rope: rotates ", spec_.ropes[a.rope].rotary_dim,
           " dimensions of a head of ", a.head_dim);
    }
    if (a.sliding_window < 0) {
      Fail(ErrorCode::kInvalidArgument, path, ".slidingWindow: expected 0 or more, got ",
           a.sliding_window);
    }
    if (!std::isfinite(a.clip_qkv) || a.clip_qkv < 0) {
      Fail(ErrorCode::kInvalidArgument, path, ".clipQkv: expected a finite number from 0, got ",
           a.clip_qkv);
    }
    CheckPositive(path + ".scale", a.scale);
    const int64_t q_width = int64_t{a.heads} * a.head_dim;
    const int64_t kv_width = int64_t{a.kv_heads} * a.head_dim;
    Linear(path + ".q", a.q, q_width, spec_.hidden_size);
    Linear(path + ".k", a.k, kv_width, spec_.hidden_size);
    Linear(path + ".v", a.v, kv_width, spec_.hidden_size);
    Linear(path + ".o", a.o, spec_.hidden_size, q_width);
    if ((a.q_norm || a.k_norm) && a.qk_norm == QkNorm::kNone) {
      Fail(ErrorCode::kInvalidArgument, path,
           ".qkNorm: expected PER_HEAD or FULL_WIDTH where qNorm or kNorm is present");
    }
    const bool per_head = a.qk_norm == QkNorm::kPerHead;
    if (a.q_norm) Norm(path + ".qNorm", *a.q_norm, per_head ? a.head_dim : q_width);
    if (a.k_norm) Norm(path + ".kNorm", *a.k_norm, per_head ? a.head_dim : kv_width);
  }

  void CheckFfn(const std::string& path, const DenseFfnSpec& ffn) {
    const int64_t width = ffn.gate.weight.shape.empty() ? 0 : ffn.gate.weight.shape[0];
    if (width < 1) {
      Fail(ErrorCode::kCorruptCheckpoint, "tensor ", ffn.gate.weight.name, " (", path,
           ".gate.weight): expected shape [width, ", spec_.hidden_size, "], got ",
           ShapeText(ffn.gate.weight.shape));
    }
    Linear(path + ".gate", ffn.gate, width, spec_.hidden_size);
    Linear(path + ".up", ffn.up, width, spec_.hidden_size);
    Linear(path + ".down", ffn.down, spec_.hidden_size, width);
    for (const LinearSpec* linear : {&ffn.gate, &ffn.up, &ffn.down}) {
      if (linear->bias) {
        Fail(ErrorCode::kUnsupported, "tensor ", linear->bias->name, " (", path,
             "): feed-forward biases are not supported");
      }
    }
  }

  void CheckMoe(const std::string& path, const MoeSpec& moe) {
    const auto experts = static_cast<int64_t>(moe.experts.size());
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
    Tensor(path + ".gate.weight", moe.gate.weight, {experts, spec_.hidden_size});
    for (size_t e = 0; e < moe.experts.size(); ++e)
      CheckFfn(Message(path, ".experts[", e, "]"), moe.experts[e]);
    if (moe.shared_expert) CheckFfn(path + ".sharedExpert", *moe.shared_expert);
    if (moe.shared_expert_gate) {
      if (!moe.shared_expert) {
        Fail(ErrorCode::kInvalidArgument, path,
             ".sharedExpertGate: present without a shared expert");
      }
      Tensor(path + ".sharedExpertGate", *moe.shared_expert_gate, {1, spec_.hidden_size});
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

const DenseFfnSpec* LayerSpec::dense() const {
  if (const MoeSpec* routed = moe())
    return routed->shared_expert ? &*routed->shared_expert : nullptr;
  return &std::get<DenseFfnSpec>(ffn);
}

void ValidateSpec(const ModelSpec& spec) { SpecValidator(spec).Run(); }

}  // namespace conclave
