#include "conclave/base/message.h"
#include "validator.h"

namespace conclave {

FixedCacheSpec CacheOf(const ShortConvolutionSpec& spec) {
  return {{{static_cast<int>(spec.width()), spec.convolution.count() - 1}}};
}

FixedCacheSpec CacheOf(const SelectiveScanSpec& spec) {
  const auto heads = static_cast<int>(spec.width());
  return {{{heads, spec.convolution.count() - 1}, {heads, spec.states()}}};
}

void OperatorValidator::CheckIndexer(const std::string& path, const IndexerSpec& spec,
                                     int64_t query_width) {
  const auto& [heads, head_dim, kept, block_size, latest, span] = spec.params;
  for (const int size : {heads, head_dim, kept, block_size}) {
    if (size >= 1) continue;
    Fail(ErrorCode::kInvalidArgument, path, ".heads, headDim, kept, blockSize: expected at least ",
         "1, got ", size);
  }
  if (span != 1)
    Fail(ErrorCode::kUnsupported, path, ".span: expected 1 for keys of positions, got ", span);
  if (latest < 0 || latest > kept) {
    Fail(ErrorCode::kInvalidArgument, path, ".latest: expected 0 to the ", kept,
         " blocks that are kept, got ", latest);
  }
  if (spec.rope) CheckRopeOf(path + ".rope", *spec.rope, head_dim);
  Linear(path + ".q", spec.q, int64_t{heads} * head_dim, query_width);
  Linear(path + ".k", spec.k, head_dim, spec_.hidden_size);
  if (spec.q_norm) Norm(path + ".qNorm", *spec.q_norm, head_dim);
  Norm(path + ".kNorm", spec.k_norm, head_dim);
  if (spec.weights) Linear(path + ".weights", *spec.weights, heads, spec_.hidden_size);
}

void OperatorValidator::CheckShortConvolution(const std::string& path,
                                              const ShortConvolutionSpec& spec) {
  const int64_t hidden = spec_.hidden_size;
  const int64_t width = spec.value.weight.data.shape.empty() ? 0 : spec.width();
  if (width < 1)
    Fail(ErrorCode::kInvalidArgument, path, ".value: expected at least 1 row, got ", width);
  Linear(path + ".inputGate", spec.input_gate, width, hidden);
  Linear(path + ".outputGate", spec.output_gate, width, hidden);
  Linear(path + ".value", spec.value, width, hidden);
  CheckConvolution(path + ".convolution", spec.convolution, width);
  Linear(path + ".output", spec.output, hidden, width);
}

void OperatorValidator::CheckSelectiveScan(const std::string& path, const SelectiveScanSpec& spec) {
  const int64_t hidden = spec_.hidden_size;
  for (const LinearSpec* linear : {&spec.value, &spec.write, &spec.step_down}) {
    if (linear->weight.data.shape.empty() || linear->out() < 1)
      Fail(ErrorCode::kInvalidArgument, path, ".value, write, stepDown: expected at least 1 row");
  }
  const int64_t width = spec.width();
  const int64_t states = spec.states();
  const int64_t rank = spec.step_down.out();
  Linear(path + ".value", spec.value, width, hidden);
  Linear(path + ".gate", spec.gate, width, hidden);
  CheckConvolution(path + ".convolution", spec.convolution, width);
  Linear(path + ".stepDown", spec.step_down, rank, width);
  Linear(path + ".write", spec.write, states, width);
  Linear(path + ".read", spec.read, states, width);
  Norm(path + ".stepNorm", spec.step_norm, rank);
  Norm(path + ".writeNorm", spec.write_norm, states);
  Norm(path + ".readNorm", spec.read_norm, states);
  Linear(path + ".step", spec.step, width, rank);
  if (!spec.step.bias) Fail(ErrorCode::kInvalidArgument, path, ".step.bias: expected one");
  Matrix(path + ".decayRate", spec.decay_rate, width, states);
  Tensor(path + ".skip", spec.skip, {width});
  Linear(path + ".output", spec.output, hidden, width);
}

}  // namespace conclave
