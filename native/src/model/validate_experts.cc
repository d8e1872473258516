#include "conclave/base/message.h"
#include "validator.h"

namespace conclave {

void OperatorValidator::CheckMoe(const std::string& path, const MoeSpec& moe) {
  const int experts = moe.experts.count;
  if (experts < 1 || experts > kMaxExperts) {
    Fail(experts < 1 ? ErrorCode::kInvalidArgument : ErrorCode::kUnsupported, path,
         ".experts: expected 1 to ", kMaxExperts, ", got ", experts);
  }
  const int choices = moe.choices();
  if (choices > kMaxExperts) {
    Fail(ErrorCode::kUnsupported, path, ".identityExperts: expected up to ", kMaxExperts - experts,
         " beside ", experts, " experts, got ", moe.identity_experts);
  }
  if (moe.gate.top_k < 1 || moe.gate.top_k > choices) {
    Fail(ErrorCode::kInvalidArgument, path, ".gate.topK: expected 1 to ", choices, ", got ",
         moe.gate.top_k);
  }
  if (moe.gate.top_k > kMaxTopK) {
    Fail(ErrorCode::kUnsupported, path, ".gate.topK: expected 1 to ", kMaxTopK, ", got ",
         moe.gate.top_k);
  }
  CheckFinite(path + ".gate.weightMultiplier", moe.gate.weight_multiplier);
  CheckGate(path + ".gate", moe.gate, choices);
  CheckPlaces(path + ".experts.places", moe.experts);
  if (moe.input.has_value() != moe.output.has_value())
    Fail(ErrorCode::kInvalidArgument, path, ".output: expected beside input, and only there");
  const int64_t width = moe.input ? moe.input->out() : spec_.hidden_size;
  if (moe.input) {
    Linear(path + ".input", *moe.input, width, spec_.hidden_size);
    Linear(path + ".output", *moe.output, spec_.hidden_size, width);
    if (moe.identity_experts > 0) {
      Fail(ErrorCode::kUnsupported, path, ".identityExperts: expected 0 beside input, got ",
           moe.identity_experts);
    }
  }
  if (moe.identity_experts > 0 && moe.weights == ExpertWeights::kOnInput)
    Fail(ErrorCode::kUnsupported, path, ".weightsOnInput: expected false beside identityExperts");
  for (int e = 0; e < experts; ++e)
    CheckFfn(Message(path, ".experts[", e, "]"), moe.experts.Expert(e), width);
}

void OperatorValidator::CheckPlaces(const std::string& path, const ExpertTable& experts) {
  FfnSpec expert = experts.expert;
  const size_t tensors = TensorsOf(expert).size();
  if (experts.places.size() != tensors) {
    Fail(ErrorCode::kInvalidArgument, path, ": expected places for each of ", tensors,
         " tensors of an expert, got ", experts.places.size());
  }
  for (const TensorPlaces& places : experts.places) {
    for (const size_t size : {places.files.size(), places.offsets.size(), places.types.size()}) {
      if (size == static_cast<size_t>(experts.count)) continue;
      Fail(ErrorCode::kInvalidArgument, path, ": expected a place for each of ", experts.count,
           " experts, got ", size);
    }
  }
}

void OperatorValidator::CheckGate(const std::string& path, const GateSpec& gate, int experts) {
  Linear(path, gate.linear, experts, spec_.hidden_size);
  if (gate.correction) Tensor(path + ".correction", *gate.correction, {experts});
  CheckFromZero(path + ".smallestSum", gate.smallest_sum);
  CheckFromZero(path + ".jitter", gate.jitter);
  CheckFromZero(path + ".softcap", gate.softcap);
  if (gate.scales) Tensor(path + ".scales", *gate.scales, {experts});
  if (gate.norm) Norm(path + ".norm", *gate.norm, spec_.hidden_size);
  const auto& [count, kept, by_two] = gate.groups;
  if (gate.table) {
    Ids(path + ".table", *gate.table, {spec_.vocab_size, gate.top_k});
    if (gate.correction || count > 0) {
      Fail(ErrorCode::kUnsupported, path,
           ".table: beside groups or a correction, which have no say ",
           "where tokens pick the experts");
    }
  }
  if (gate.norm && spec_.streams > 1)
    Fail(ErrorCode::kUnsupported, path, ".norm: of a residual of ", spec_.streams, " streams");
  const bool picks = count > 0 || gate.correction || gate.table;
  if (picks &&
      (gate.scoring == GateScoring::kSoftmaxTopK || gate.scoring == GateScoring::kSparsemixer)) {
    Fail(ErrorCode::kUnsupported, path,
         ".scoring: with groups, a correction or a table, experts are ",
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

}  // namespace conclave
