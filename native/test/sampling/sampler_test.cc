#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "conclave/base/error.h"
#include "conclave/sampling/sampling.h"
#include "sampling/reference_distribution.h"
#include "src/sampling/philox.h"

namespace conclave {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> RandomLogits(size_t count, unsigned seed, float deviation = 2) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> logits(count);
  for (float& x : logits) x = normal(random);
  return logits;
}

LogitsResult Choose(const LogitsRequest& request, std::vector<float> logits) {
  return Sample(request, logits);
}

int32_t Draw(const Sampling& sampling, const std::vector<float>& logits, int32_t position = 0) {
  LogitsRequest request;
  request.sampling = &sampling;
  request.position = position;
  return Choose(request, logits).token;
}

TEST(Philox, GivesThePublishedKnownAnswers) {
  // From the known-answer file of the Random123 library, philox4x32 with 10 rounds.
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Sample, IsGreedyWithoutSamplingAndAtTemperatureZero) {
  std::vector<float> logits = RandomLogits(5000, 1);
  logits[1234] = logits[4321] = 50;
  EXPECT_EQ(Choose({}, logits).token, 1234) << "of equals the lower token";
  Sampling sampling;
  sampling.top_p = 0.5f;
  EXPECT_EQ(Draw(sampling, logits), 1234);
  EXPECT_TRUE(std::isnan(Choose({}, logits).logprob));
}

TEST(Sample, ReportsLogSoftmaxOfTheRawLogits) {
  for (const size_t vocabulary : {1u, 2u, 17u, 1000u, 151936u}) {
    const std::vector<float> logits = RandomLogits(vocabulary, 2, 5);
    const double highest = double{*std::max_element(logits.begin(), logits.end())};
    double sum = 0;
    for (const float x : logits) sum += std::exp(double{x} - highest);
    const double log_sum = highest + std::log(sum);
    Sampling sampling;
    sampling.temperature = 0.3f;
    sampling.bias_tokens = {0};
    sampling.bias_values = {20};
    LogitsRequest request;
    request.sampling = &sampling;
    request.logprobs = 5;
    const LogitsResult result = Choose(request, logits);
    // exp is within 3 e and sums of 32 terms within 32 e of the terms, which moves the logarithm by
    // 35 e; the difference from it is rounded twice at a magnitude below 64.
    const double bound = 35 * 0x1p-24 + 2 * 64 * 0x1p-24;
    EXPECT_NEAR(result.logprob, double{logits[static_cast<size_t>(result.token)]} - log_sum, bound);
    std::vector<int32_t> order(vocabulary);
    for (size_t i = 0; i < vocabulary; ++i) order[i] = static_cast<int32_t>(i);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
    order.resize(std::min<size_t>(5, vocabulary));
    EXPECT_EQ(result.top_tokens, order);
    for (size_t i = 0; i < order.size(); ++i) {
      EXPECT_NEAR(result.top_logprobs[i], double{logits[static_cast<size_t>(order[i])]} - log_sum,
                  bound);
    }
  }
}

TEST(Sample, ScoresAGivenToken) {
  LogitsRequest request;
  request.target = 2;
  request.logprobs = 0;
  const LogitsResult result = Choose(request, {0, 0, 0, 0});
  EXPECT_EQ(result.token, 2);
  EXPECT_NEAR(result.logprob, -std::log(4.0), 1e-6);
  EXPECT_TRUE(result.top_tokens.empty());
}

TEST(Sample, SelectsTheHighestInAnyOrderOfLogits) {
  // Ascending logits make every one pass the threshold of the selection; equal ones none.
  std::vector<float> ascending(9000);
  for (size_t i = 0; i < ascending.size(); ++i) ascending[i] = static_cast<float>(i) / 100;
  LogitsRequest request;
  request.logprobs = 3;
  EXPECT_EQ(Choose(request, ascending).top_tokens, (std::vector<int32_t>{8999, 8998, 8997}));
  EXPECT_EQ(Choose(request, std::vector<float>(9000, 1.0f)).top_tokens,
            (std::vector<int32_t>{0, 1, 2}));
  std::vector<float> off(9000, -kInfinity);
  off[7000] = 0;
  EXPECT_EQ(Choose(request, off).top_tokens, (std::vector<int32_t>{7000, 0, 1}));
}

// Fixed seeds, so this either always passes or never: draws at 20,000 positions against the
// reference distribution.
void ExpectDrawsFollow(const Sampling& sampling, const std::vector<float>& logits) {
  const std::vector<double> p = ReferenceDistribution(sampling, {logits.begin(), logits.end()});
  const int draws = 20000;
  std::vector<int> counts(logits.size());
  for (int i = 0; i < draws; ++i) ++counts[static_cast<size_t>(Draw(sampling, logits, i))];
  double chi_square = 0;
  int cells = 0;
  double rest = 0;
  int rest_count = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] == 0) {
      EXPECT_EQ(counts[i], 0) << "token " << i << " was filtered out";
      continue;
    }
    // Cells that expect fewer than 5 are counted together.
    if (p[i] * draws < 5) {
      rest += p[i] * draws;
      rest_count += counts[i];
      continue;
    }
    chi_square += (counts[i] - p[i] * draws) * (counts[i] - p[i] * draws) / (p[i] * draws);
    ++cells;
  }
  if (rest > 1) {
    chi_square += (rest_count - rest) * (rest_count - rest) / rest;
    ++cells;
  }
  // A chi-square of n degrees has mean n and deviation sqrt(2 n); 5 deviations above is about one
  // in a million for large n, more for small n, where 25 is added.
  EXPECT_LT(chi_square, cells - 1 + 5 * std::sqrt(2.0 * cells) + 25) << cells << " cells";
}

TEST(Sample, DrawsFollowTheFilteredDistribution) {
  const std::vector<float> logits = RandomLogits(600, 3);
  const std::vector<std::function<void(Sampling*)>> cases = {
      [](Sampling*) {},
      [](Sampling* s) { s->temperature = 0.4f; },
      [](Sampling* s) { s->temperature = 3; },
      [](Sampling* s) { s->top_k = 1; },
      [](Sampling* s) { s->top_k = 12; },
      [](Sampling* s) { s->top_k = 600; },
      [](Sampling* s) { s->top_p = 0.8f; },
      [](Sampling* s) { s->top_p = 1e-9f; },
      [](Sampling* s) { s->min_p = 0.1f; },
      [](Sampling* s) { s->min_p = 1; },
      [](Sampling* s) { s->top_k = 40, s->top_p = 0.7f; },
      [](Sampling* s) { s->top_k = 100, s->top_p = 0.9f, s->min_p = 0.05f, s->temperature = 1.5f; },
      [](Sampling* s) { s->top_p = 0.95f, s->min_p = 0.02f; },
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    Sampling sampling;
    sampling.temperature = 1;
    sampling.seed = 0x123456789abcd + i;
    cases[i](&sampling);
    ExpectDrawsFollow(sampling, logits);
  }
}

TEST(Sample, KeepsExactlyTheTokensThatTheReferenceKeeps) {
  // Every token's logit is distinct by more than rounding, so the kept sets agree; 300 small
  // vocabularies with many draws find them all.
  std::mt19937 random(4);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> logits(12);
    for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i) * 0.13f;
    std::shuffle(logits.begin(), logits.end(), random);
    Sampling sampling;
    sampling.temperature = 1;
    sampling.top_k = static_cast<int>(random() % 14);
    sampling.top_p = static_cast<float>(random() % 97 + 2) / 100;
    sampling.min_p = static_cast<float>(random() % 80) / 100;
    sampling.seed = random();
    const std::vector<double> p = ReferenceDistribution(sampling, {logits.begin(), logits.end()});
    std::vector<int> counts(logits.size());
    for (int i = 0; i < 400; ++i) ++counts[static_cast<size_t>(Draw(sampling, logits, i))];
    for (size_t i = 0; i < p.size(); ++i) {
      if (p[i] == 0) {
        EXPECT_EQ(counts[i], 0);
      } else if (p[i] > 0.05) {
        EXPECT_GT(counts[i], 0) << "a chance of 1e-9 each";
      }
    }
  }
}

TEST(Sample, DependsOnSeedSequenceAndPositionOnly) {
  const std::vector<float> logits = RandomLogits(1000, 5, 0.1f);
  Sampling sampling;
  sampling.temperature = 1;
  sampling.seed = 77;
  LogitsRequest request;
  request.sampling = &sampling;
  request.position = 9;
  request.sequence_index = 3;
  const int32_t token = Choose(request, logits).token;
  Choose({}, RandomLogits(2000, 6));
  EXPECT_EQ(Choose(request, logits).token, token);
  request.logprobs = 2;
  EXPECT_EQ(Choose(request, logits).token, token) << "log-probabilities change nothing";
  request.sequence_index = 4;
  EXPECT_NE(Choose(request, logits).token, token);
  request.sequence_index = 3;
  request.position = 10;
  EXPECT_NE(Choose(request, logits).token, token);
  request.position = 9;
  sampling.seed = 77 + (uint64_t{1} << 40);
  EXPECT_NE(Choose(request, logits).token, token);
}

TEST(Sample, SurvivesExtremeFilters) {
  std::vector<float> logits = RandomLogits(300000, 7);
  logits[123456] = 40;
  for (const float temperature : {1e-45f, 1e-30f, 1e-4f}) {
    Sampling sampling;
    sampling.temperature = temperature;
    EXPECT_EQ(Draw(sampling, logits), 123456);
    sampling.top_p = 0.9f;
    EXPECT_EQ(Draw(sampling, logits), 123456);
  }
  Sampling hot;
  hot.temperature = 3e38f;
  EXPECT_GE(Draw(hot, logits), 0);
  Sampling narrow;
  narrow.temperature = 1;
  narrow.top_p = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(Draw(narrow, logits), 123456);
}

TEST(Sample, TakesTheOnlyTokenThatIsPossible) {
  std::vector<float> logits(4000, -kInfinity);
  logits[3210] = -1e30f;
  for (const int top_k : {0, 1, 50}) {
    for (const float top_p : {0.1f, 1.0f}) {
      for (int position = 0; position < 20; ++position) {
        Sampling sampling;
        sampling.temperature = 1;
        sampling.top_k = top_k;
        sampling.top_p = top_p;
        EXPECT_EQ(Draw(sampling, logits, position), 3210);
      }
    }
  }
  LogitsRequest request;
  request.logprobs = 1;
  const LogitsResult result = Choose(request, logits);
  EXPECT_EQ(result.token, 3210);
  EXPECT_EQ(result.logprob, 0);
}

TEST(Sample, BiasOverrulesTheModel) {
  const std::vector<float> logits = RandomLogits(1000, 8);
  Sampling sampling;
  sampling.bias_tokens = {17};
  sampling.bias_values = {100};
  EXPECT_EQ(Draw(sampling, logits), 17);
  sampling.temperature = 1;
  for (int position = 0; position < 50; ++position) EXPECT_EQ(Draw(sampling, logits, position), 17);
  sampling.bias_values = {-100};
  for (int position = 0; position < 500; ++position)
    EXPECT_NE(Draw(sampling, logits, position), 17);
}

struct PenaltyCase {
  const char* name;
  float repetition;
  float presence;
  float frequency;
  std::vector<int32_t> prompt;
  std::vector<int32_t> output;
  int32_t expected;
};

TEST(Sample, PenaltiesFollowTheirDefinitions) {
  // Logits 4, 3, 2, -1, ...: which token is highest shows what each was lowered to.
  const std::vector<float> logits = {4, 3, 2, -1, -50};
  const std::vector<PenaltyCase> cases = {
      {"none", 1, 0, 0, {0}, {0, 0}, 0},
      {"repetition divides what is positive (4 / 1.3 > 3)", 1.3f, 0, 0, {0}, {}, 0},
      {"repetition divides what is positive (4 / 1.4 < 3)", 1.4f, 0, 0, {0}, {}, 1},
      {"repetition counts a token once (4 / 1.3 > 3)", 1.3f, 0, 0, {0, 0, 0}, {0, 0}, 0},
      {"repetition counts the output", 1.4f, 0, 0, {}, {0}, 1},
      {"presence ignores the prompt", 1, 2, 0, {0}, {}, 0},
      {"presence takes once (4 - 0.9 > 3)", 1, 0.9f, 0, {}, {0, 0, 0}, 0},
      {"presence takes its amount (4 - 1.1 < 3)", 1, 1.1f, 0, {}, {0}, 1},
      {"frequency takes per occurrence (4 - 3 * 0.4 < 3)", 1, 0, 0.4f, {}, {0, 0, 0}, 1},
      {"frequency takes per occurrence (4 - 2 * 0.4 > 3)", 1, 0, 0.4f, {0, 0}, {0, 0}, 0},
      {"a negative presence raises (-1 + 6 > 4)", 1, -6, 0, {}, {3}, 3},
      {"repetition comes before presence (4 / 2 - 0.5 < 2)", 2, 0.5f, 0, {1}, {0}, 2},
  };
  for (const PenaltyCase& c : cases) {
    Sampling sampling;
    sampling.repetition_penalty = c.repetition;
    sampling.presence_penalty = c.presence;
    sampling.frequency_penalty = c.frequency;
    LogitsRequest request;
    request.sampling = &sampling;
    request.prompt_tokens = c.prompt;
    request.output_tokens = c.output;
    EXPECT_EQ(Choose(request, logits).token, c.expected) << c.name;
    EXPECT_EQ(Choose(request, logits).token, c.expected) << c.name << ", the second time";
  }
  // Repetition multiplies what is negative: -1 * 3 < -2.
  Sampling sampling;
  sampling.repetition_penalty = 3;
  LogitsRequest request;
  const std::vector<int32_t> prompt = {0};
  request.sampling = &sampling;
  request.prompt_tokens = prompt;
  EXPECT_EQ(Choose(request, {-1, -2}).token, 1);
}

TEST(Sample, NoPenaltyOrBiasMakesLogitsUnusable) {
  constexpr float kMost = std::numeric_limits<float>::max();
  const std::vector<float> logits = {3, -2, 1, -kInfinity};
  const std::vector<int32_t> history = {0, 1, 3, 3};
  for (const float repetition : {std::numeric_limits<float>::denorm_min(), 1.0f, kMost}) {
    for (const float amount : {-kMost, 0.0f, kMost}) {
      Sampling sampling;
      sampling.temperature = 1;
      sampling.repetition_penalty = repetition;
      sampling.presence_penalty = amount;
      sampling.frequency_penalty = amount;
      sampling.bias_tokens = {0, 1, 1, 3};
      sampling.bias_values = {amount, amount, amount, kMost};
      LogitsRequest request;
      request.sampling = &sampling;
      request.prompt_tokens = history;
      request.output_tokens = history;
      const int32_t token = Choose(request, logits).token;
      EXPECT_TRUE(token >= 0 && token < 3) << "repetition " << repetition << ", amount " << amount;
    }
  }
}

struct BadRequest {
  const char* name;
  std::function<void(LogitsRequest*, Sampling*)> change;
  const char* message;
};

TEST(Sample, RefusesWhatMakesNoSense) {
  static const std::vector<int32_t> outside = {0, 4};
  const std::vector<BadRequest> requests = {
      {"target above", [](auto* r, auto*) { r->target = 4; },
       "target: expected -1 or a token of the vocabulary, got 4"},
      {"target below", [](auto* r, auto*) { r->target = -2; }, "target"},
      {"logprobs", [](auto* r, auto*) { r->logprobs = -2; }, "logprobs"},
      {"temperature", [](auto*, auto* s) { s->temperature = -1; },
       "temperature: expected 0 or more, got -1"},
      {"temperature NaN", [](auto*, auto* s) { s->temperature = std::nanf(""); }, "temperature"},
      {"top_k", [](auto*, auto* s) { s->top_k = -1; }, "topK"},
      {"top_p 0", [](auto*, auto* s) { s->top_p = 0; }, "topP"},
      {"top_p above", [](auto*, auto* s) { s->top_p = 1.5f; }, "topP"},
      {"min_p", [](auto*, auto* s) { s->min_p = 1.5f; }, "minP"},
      {"repetition", [](auto*, auto* s) { s->repetition_penalty = 0; }, "repetitionPenalty"},
      {"presence", [](auto*, auto* s) { s->presence_penalty = kInfinity; }, "presencePenalty"},
      {"frequency", [](auto*, auto* s) { s->frequency_penalty = std::nanf(""); },
       "frequencyPenalty"},
      {"bias sizes", [](auto*, auto* s) { s->bias_tokens = {1}; }, "biasValues"},
      {"bias value", [](auto*, auto* s) { s->bias_tokens = {1}, s->bias_values = {kInfinity}; },
       "biasValues"},
      {"bias token", [](auto*, auto* s) { s->bias_tokens = {4}, s->bias_values = {1}; },
       "biasTokens[0]: expected a token of the vocabulary, got 4"},
      {"bias token below", [](auto*, auto* s) { s->bias_tokens = {-1}, s->bias_values = {1}; },
       "biasTokens[0]"},
      {"prompt token",
       [](auto* r, auto* s) { s->repetition_penalty = 2, r->prompt_tokens = outside; },
       "promptTokens[1]"},
      {"output token",
       [](auto* r, auto* s) { s->presence_penalty = 1, r->output_tokens = outside; },
       "outputTokens[1]"},
  };
  for (const BadRequest& bad : requests) {
    Sampling sampling;
    LogitsRequest request;
    request.sampling = &sampling;
    bad.change(&request, &sampling);
    try {
      Choose(request, {1, 2, 3, 4});
      ADD_FAILURE() << "accepted a bad " << bad.name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_NE(std::string(error.what()).find(bad.message), std::string::npos)
          << bad.name << ": " << error.what();
    }
  }
}

TEST(Sample, RefusesLogitsThatAreNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
    for (const size_t at : {0u, 511u, 512u, 999u}) {
      std::vector<float> logits = RandomLogits(1000, 9);
      logits[at] = bad;
      Sampling sampling;
      sampling.temperature = 1;
      LogitsRequest sampled;
      sampled.sampling = &sampling;
      LogitsRequest scored;
      scored.target = 3;
      for (const LogitsRequest& request : {LogitsRequest{}, sampled, scored}) {
        try {
          Choose(request, logits);
          ADD_FAILURE() << "accepted " << bad << " at " << at;
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::kNonFinite);
        }
      }
    }
  }
  EXPECT_THROW(Choose({}, std::vector<float>(100, -kInfinity)), Error);
  EXPECT_THROW(Choose({}, {}), Error);
}

}  // namespace
}  // namespace conclave
