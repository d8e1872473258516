#include "conclave/engine/output_head.h"

#include <algorithm>
#include <cstring>

#include "conclave/base/parallel_rows.h"

namespace conclave {
namespace {

constexpr int64_t kLogitsBytesAtOnce = 32 << 20;

LogitsRequest RequestOf(const LogitsRow& row) {
  return {row.target,       row.logprobs,       row.sampling ? &*row.sampling : nullptr,
          row.position,     row.sequence_index, row.prompt_tokens,
          row.output_tokens};
}

StepOutput Collect(std::span<const LogitsResult> results) {
  StepOutput output;
  output.top_offsets.push_back(0);
  for (const LogitsResult& result : results) {
    output.tokens.push_back(result.token);
    output.logprobs.push_back(result.logprob);
    output.top_tokens.insert(output.top_tokens.end(), result.top_tokens.begin(),
                             result.top_tokens.end());
    output.top_logprobs.insert(output.top_logprobs.end(), result.top_logprobs.begin(),
                               result.top_logprobs.end());
    output.top_offsets.push_back(static_cast<int32_t>(output.top_tokens.size()));
  }
  return output;
}

}  // namespace

OutputHead::OutputHead(TensorLoader& loader, const ModelSpec& spec)
    : hidden_(spec.hidden_size),
      vocab_(spec.vocab_size),
      norm_(loader.Vector(spec.final_norm.weight)),
      epsilon_(spec.final_norm.epsilon),
      weight_(loader.Matrix(spec.head.weight, Whole(spec.head.weight))),
      multiplier_(spec.logit_multiplier) {
  if (spec.head.bias) bias_ = loader.Vector(*spec.head.bias);
}

uint64_t OutputHead::SourceBytes(const ModelSpec& spec) {
  return spec.final_norm.weight.bytes() + conclave::SourceBytes(spec.head);
}

StepOutput OutputHead::Forward(Compute& compute, Profile& profile,
                               std::span<const LogitsRow> wanted, const float* x) {
  std::vector<LogitsResult> results(wanted.size());
  const auto at_once = static_cast<size_t>(std::max<int64_t>(1, kLogitsBytesAtOnce / (vocab_ * 4)));
  for (size_t first = 0; first < wanted.size(); first += at_once) {
    const size_t count = std::min(at_once, wanted.size() - first);
    ForwardPart(compute, profile, wanted.subspan(first, count), x,
                std::span(results).subspan(first, count));
  }
  return Collect(results);
}

void OutputHead::ForwardPart(Compute& compute, Profile& profile, std::span<const LogitsRow> wanted,
                             const float* x, std::span<LogitsResult> results) {
  const auto count = static_cast<int64_t>(wanted.size());
  float* rows = rows_.Reserve(count * hidden_);
  float* logits = logits_.Reserve(count * vocab_);
  {
    const Profile::Span span(profile, ProfilePart::kHead);
    for (int64_t i = 0; i < count; ++i) {
      RmsNorm(compute.isa, x + wanted[i].row * hidden_, norm_.data(), epsilon_, 1, hidden_, hidden_,
              rows + i * hidden_);
    }
    compute.kernels->Matmul(compute.pool, weight_, rows, count,
                            bias_.empty() ? nullptr : bias_.data(), logits);
  }
  const Profile::Span span(profile, ProfilePart::kSampling);
  ParallelRows(compute.pool, count, vocab_, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) {
      const std::span<float> row(logits + i * vocab_, static_cast<size_t>(vocab_));
      if (multiplier_ != 1) {
        for (float& logit : row) logit *= multiplier_;
      }
      results[i] = Sample(RequestOf(wanted[i]), row);
    }
  });
}

}  // namespace conclave
