#include "cuda/device-check/models/goldens.h"

#include <cmath>
#include <numeric>

#include "conclave/base/message.h"
#include "cuda/device-check/models/whole_model.h"

namespace conclave::device_check {
namespace {

constexpr int kBlockSize = 4;
constexpr int32_t kSlots = 4;

int32_t BlocksOf(const GoldenText& text) {
  return (static_cast<int32_t>(text.tokens.size()) + kBlockSize - 1) / kBlockSize;
}

int64_t BlocksOf(const std::vector<GoldenText>& texts) {
  int64_t blocks = 0;
  for (const GoldenText& text : texts) blocks += BlocksOf(text);
  return blocks;
}

// Texts in blocks that follow each other, and in slots of their own.
class Placed {
 public:
  explicit Placed(const std::vector<GoldenText>& texts) {
    int32_t first = 0;
    for (const GoldenText& text : texts) {
      std::vector<int32_t>& blocks = blocks_.emplace_back(static_cast<size_t>(BlocksOf(text)));
      std::iota(blocks.begin(), blocks.end(), first);
      first += BlocksOf(text);
    }
  }

  void Append(const std::vector<GoldenText>& texts, size_t index, size_t begin, size_t end,
              StepBatch* batch) const {
    device_check::Append({.tokens = texts[index].tokens,
                          .begin = static_cast<int32_t>(begin),
                          .end = static_cast<int32_t>(end),
                          .blocks = blocks_[index],
                          .slot = static_cast<int32_t>(index),
                          .scored = true},
                         batch);
  }

 private:
  std::vector<std::vector<int32_t>> blocks_;
};

using Logprobs = std::vector<float>;

// Of each text; the last row has nothing to score.
std::vector<Logprobs> Together(WholeModel& model, const std::vector<GoldenText>& texts,
                               const Placed& placed) {
  StepBatch batch;
  for (size_t i = 0; i < texts.size(); ++i)
    placed.Append(texts, i, 0, texts[i].tokens.size() - 1, &batch);
  const StepOutput output = model.Run(std::move(batch));
  std::vector<Logprobs> results;
  auto at = output.logprobs.begin();
  for (const GoldenText& text : texts) {
    const auto end = at + static_cast<int64_t>(text.tokens.size()) - 1;
    results.emplace_back(at, end);
    at = end;
  }
  return results;
}

Logprobs Alone(WholeModel& model, const std::vector<GoldenText>& texts, size_t index,
               const Placed& placed) {
  const GoldenText& text = texts[index];
  Logprobs result;
  size_t begin = 0;
  for (size_t end = text.prompt_tokens; end < text.tokens.size(); begin = end, ++end) {
    StepBatch batch;
    placed.Append(texts, index, begin, end, &batch);
    const StepOutput output = model.Run(std::move(batch));
    result.insert(result.end(), output.logprobs.begin(), output.logprobs.end());
  }
  return result;
}

// What is wrong with a text's results; empty: nothing.
std::string Problem(const GoldenModel& golden, const GoldenText& text, const Logprobs& got) {
  double largest = 0;
  double squares = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = double{got[i]} - double{text.logprobs[i]};
    if (!std::isfinite(error)) return Message("position ", i, " gives ", got[i]);
    largest = std::max(largest, std::abs(error));
    squares += std::pow(error / double{text.spreads[i]}, 2);
  }
  const double noise = std::sqrt(squares / static_cast<double>(got.size()));
  if (golden.most_error && largest > *golden.most_error)
    return Message("a log-probability is off by ", largest, ", at most ", *golden.most_error);
  if (golden.most_noise && noise > *golden.most_noise)
    return Message("log-probabilities are off by ", noise, " of a deviation, at most ",
                   *golden.most_noise);
  return {};
}

std::string CheckGolden(const std::shared_ptr<Backend>& backend, const GoldenModel& golden) {
  const CacheOptions cache{
      .kv_blocks = BlocksOf(golden.texts), .block_size = kBlockSize, .state_slots = kSlots};
  WholeModel model(backend, golden.folder, golden.spec, golden.weights, cache);
  const Placed placed(golden.texts);
  const std::vector<Logprobs> together = Together(model, golden.texts, placed);
  for (size_t i = 0; i < golden.texts.size(); ++i) {
    const std::string problem = Problem(golden, golden.texts[i], together[i]);
    if (!problem.empty()) return Message("text ", i, ": ", problem);
    if (Alone(model, golden.texts, i, placed) != together[i])
      return Message("text ", i, " has other bits alone than among others");
  }
  return {};
}

}  // namespace

std::string CheckGoldens(const std::shared_ptr<Backend>& backend,
                         const std::vector<GoldenModel>& models,
                         std::chrono::steady_clock::time_point deadline) {
  std::string problems;
  size_t done = 0;
  size_t failed = 0;
  for (const GoldenModel& golden : models) {
    if (std::chrono::steady_clock::now() >= deadline) break;
    std::string problem;
    try {
      problem = CheckGolden(backend, golden);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kDeviceLost) throw;
      problem = error.what();
    }
    ++done;
    if (problem.empty()) continue;
    ++failed;
    problems += Message(problems.empty() ? "" : "; ", golden.name, " in ", NameOf(golden.weights),
                        ": ", problem);
  }
  if (failed > 0) return Message("failed: ", failed, " of ", done, " models: ", problems);
  if (done < models.size())
    return Message("skipped: no time was left for ", models.size() - done, " of ", models.size());
  return Message("passed: ", done, " models");
}

}  // namespace conclave::device_check
