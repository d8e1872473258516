#include "conclave/engine/output_head.h"

#include <algorithm>

namespace conclave {
namespace {

constexpr int64_t kLogitsBytesAtOnce = 32 << 20;

LogitsRequest RequestOf(const LogitsRow& row) {
  return {row.target,        row.logprobs,       row.sampling ? &*row.sampling : nullptr,
          row.position,      row.sequence_index, row.prompt_tokens,
          row.output_tokens, row.mask.get()};
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
    : norm_(loader, spec.final_norm, spec.hidden_size),
      weight_(loader.Matrix(spec.head.weight, Whole(spec.head.weight))),
      bias_(loader.Bias(spec.head, {0, spec.vocab_size})),
      multiplier_(spec.logit_multiplier),
      softcap_(spec.logit_softcap) {
  if (spec.head_mix) mix_.emplace(loader, spec, *spec.head_mix);
}

uint64_t OutputHead::SourceBytes(const ModelSpec& spec) {
  return spec.final_norm.bytes() + conclave::SourceBytes(spec.head) +
         (spec.head_mix ? spec.head_mix->bytes() : 0);
}

StepOutput OutputHead::Forward(Backend& backend, Profile& profile,
                               std::span<const LogitsRow> wanted, const Tensor& x) const {
  std::vector<LogitsResult> results(wanted.size());
  const auto at_once =
      static_cast<size_t>(std::max<int64_t>(1, kLogitsBytesAtOnce / (weight_->rows() * 4)));
  for (size_t first = 0; first < wanted.size(); first += at_once) {
    const size_t count = std::min(at_once, wanted.size() - first);
    ForwardPart(backend, profile, wanted.subspan(first, count), x,
                std::span(results).subspan(first, count));
  }
  return Collect(results);
}

void OutputHead::ForwardPart(Backend& backend, Profile& profile, std::span<const LogitsRow> wanted,
                             const Tensor& x, std::span<LogitsResult> results) const {
  const auto count = static_cast<int64_t>(wanted.size());
  Arena& arena = backend.scratch();
  const Arena::Scope scope(arena);
  const Tensor rows = arena.Rows(count, weight_->cols());
  const LinearOutput logits{weight_.get(), bias_.get(), arena.Rows(count, weight_->rows())};
  {
    const Profile::Span span(profile, ProfilePart::kHead);
    std::vector<int32_t> indices;
    for (const LogitsRow& row : wanted) indices.push_back(row.row);
    if (mix_) {
      const Tensor streams = arena.Rows(count, x.width);
      backend.Gather(x, indices, streams);
      mix_->Read(backend, streams, arena.Rows(count, mix_->weights()), rows);
    } else {
      backend.Gather(x, indices, rows);
    }
    norm_.Forward(backend, rows, rows);
    backend.Linear(rows, {&logits, 1});
    if (multiplier_ != 1) backend.Scale(logits.output, multiplier_);
    if (softcap_ > 0) backend.Softcap(logits.output, softcap_);
  }
  const Profile::Span span(profile, ProfilePart::kSampling);
  std::vector<LogitsRequest> requests;
  for (const LogitsRow& row : wanted) requests.push_back(RequestOf(row));
  backend.Sample(logits.output, requests, results);
}

}  // namespace conclave
