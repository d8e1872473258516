#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "conclave/base/error.h"
#include "conclave/base/number_formats.h"
#include "conformance/harness.h"
#include "kernels/reference/rows.h"

namespace conclave {
namespace {

struct Shape {
  int heads;
  int kv_heads;
  int head_dim;
  int window = 0;
  int block_size = 16;
  int chunk = 0;
  float softcap = 0;
  bool sinks = false;
  int values_inside = 0;
  int beside = 0;  // width of values that are no part of keys; 0: as wide

  int value_dim() const {
    return values_inside > 0 ? values_inside : beside > 0 ? beside : head_dim;
  }
};

// A logit of each head.
std::vector<float> SinksOf(const Shape& shape) {
  std::vector<float> sinks;
  for (int head = 0; head < shape.heads; ++head)
    sinks.push_back(static_cast<float>(head % 5) * 1.5f - 2);
  return sinks;
}

// Rows [begin, end) of a sequence, in one step.
struct Chunk {
  size_t sequence;
  int begin;
  int end;
};
using Step = std::vector<Chunk>;

// Sequences of random queries, keys and values.
struct Sequences {
  Shape shape;
  std::vector<int> lengths;
  std::vector<std::vector<float>> q;  // [length, heads * head_dim]
  std::vector<std::vector<float>> k;  // [length, kv_heads * head_dim]
  std::vector<std::vector<float>> v;
};

Sequences MakeSequences(const Shape& shape, const std::vector<int>& lengths, unsigned seed = 7) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Sequences s{shape, lengths, {}, {}, {}};
  for (const int length : lengths) {
    const auto fill = [&](int heads, int width) {
      std::vector<float> x(static_cast<size_t>(length) * static_cast<size_t>(heads * width));
      for (float& e : x) e = normal(random);
      return x;
    };
    s.q.push_back(fill(shape.heads, shape.head_dim));
    s.k.push_back(fill(shape.kv_heads, shape.head_dim));
    s.v.push_back(fill(shape.kv_heads, shape.value_dim()));
  }
  return s;
}

AttentionParams ParamsOf(const Shape& shape) {
  return {.heads = shape.heads,
          .kv_heads = shape.kv_heads,
          .head_dim = shape.head_dim,
          .values_inside = shape.values_inside,
          .value_dim = shape.beside,
          .scale = 1 / std::sqrt(static_cast<float>(shape.head_dim)),
          .sliding_window = shape.window,
          .chunk = shape.chunk,
          .softcap = shape.softcap};
}

// A backend with a cache, and the block tables of the sequences in it.
class Machine {
 public:
  Machine(const BackendCase& backend, int threads, KvType type, const Sequences& sequences,
          unsigned block_seed)
      : device_(backend.create(threads)),
        sequences_(sequences),
        cache_shape_(ShapeOf(sequences)),
        cache_(device_->CreateCache(cache_shape_, type)) {
    EXPECT_EQ(cache_->bytes(), device_->CacheBytes(cache_shape_, type));
    std::vector<int32_t> ids(static_cast<size_t>(cache_shape_.blocks));
    std::iota(ids.begin(), ids.end(), 0);
    std::mt19937 random(block_seed);
    std::shuffle(ids.begin(), ids.end(), random);
    auto next = ids.begin();
    for (const int length : sequences.lengths) {
      const int blocks = (length + sequences.shape.block_size - 1) / sequences.shape.block_size;
      tables_.emplace_back(next, next + blocks);
      next += blocks;
    }
  }

  std::vector<std::vector<int32_t>>& tables() { return tables_; }

  // Outputs of the rows of a step, in order, [heads * value_dim] each. Not `writes`: the cache has
  // the rows' keys and values already.
  std::vector<float> Run(const Step& step, bool writes = true) {
    const Shape& shape = sequences_.shape;
    std::vector<int32_t> positions;
    std::vector<int32_t> offsets = {0};
    std::vector<int32_t> tables;
    std::vector<int32_t> table_offsets = {0};
    std::vector<float> q;
    std::vector<float> k;
    std::vector<float> v;
    for (const Chunk& chunk : step) {
      const auto append = [&](const std::vector<float>& from, int64_t width,
                              std::vector<float>* to) {
        to->insert(to->end(), from.begin() + chunk.begin * width, from.begin() + chunk.end * width);
      };
      for (int position = chunk.begin; position < chunk.end; ++position)
        positions.push_back(position);
      offsets.push_back(static_cast<int32_t>(positions.size()));
      tables.insert(tables.end(), tables_[chunk.sequence].begin(), tables_[chunk.sequence].end());
      table_offsets.push_back(static_cast<int32_t>(tables.size()));
      append(sequences_.q[chunk.sequence], int64_t{shape.heads} * shape.head_dim, &q);
      append(sequences_.k[chunk.sequence], int64_t{shape.kv_heads} * shape.head_dim, &k);
      append(sequences_.v[chunk.sequence], int64_t{shape.kv_heads} * shape.value_dim(), &v);
    }
    const VectorPtr sinks = shape.sinks ? device_->Store(SinksOf(shape)) : nullptr;
    const SequenceRows where{positions, offsets, tables, table_offsets};
    const auto rows = static_cast<int64_t>(positions.size());
    const int64_t kv_width = int64_t{shape.kv_heads} * shape.head_dim;
    const Tensor output = device_.Empty(rows, int64_t{shape.heads} * shape.value_dim());
    const Tensor keys = writes ? device_.Upload(k, kv_width) : Tensor();
    const Tensor values = shape.values_inside > 0 || !writes
                              ? Tensor()
                              : device_.Upload(v, int64_t{shape.kv_heads} * shape.value_dim());
    device_->Attend(ParamsOf(shape), *device_->Place(where),
                    device_.Upload(q, int64_t{shape.heads} * shape.head_dim), keys, values,
                    sinks.get(), *cache_, output);
    return device_.Download(output);
  }

  // Runs steps and puts the outputs of each sequence together, [length, heads * value_dim].
  std::vector<std::vector<float>> RunAll(const std::vector<Step>& steps) {
    const int64_t width = int64_t{sequences_.shape.heads} * sequences_.shape.value_dim();
    std::vector<std::vector<float>> outputs;
    for (const int length : sequences_.lengths)
      outputs.emplace_back(static_cast<size_t>(length * width), 0.0f);
    for (const Step& step : steps) {
      const std::vector<float> output = Run(step);
      auto from = output.begin();
      for (const Chunk& chunk : step) {
        const int64_t count = (chunk.end - chunk.begin) * width;
        std::copy(from, from + count, outputs[chunk.sequence].begin() + chunk.begin * width);
        from += count;
      }
    }
    return outputs;
  }

 private:
  static KvCacheShape ShapeOf(const Sequences& s) {
    int64_t blocks = 3;
    for (const int length : s.lengths)
      blocks += (length + s.shape.block_size - 1) / s.shape.block_size;
    return {blocks,           s.shape.block_size,    s.shape.kv_heads,
            s.shape.head_dim, s.shape.values_inside, s.shape.beside};
  }

  Device device_;
  const Sequences& sequences_;
  KvCacheShape cache_shape_;
  std::unique_ptr<PagedCache> cache_;
  std::vector<std::vector<int32_t>> tables_;
};

// Every sequence in chunks of `size`, all sequences side by side.
std::vector<Step> InChunks(const Sequences& s, int size) {
  std::vector<Step> steps;
  for (int at = 0;; at += size) {
    Step step;
    for (size_t i = 0; i < s.lengths.size(); ++i) {
      if (at < s.lengths[i]) step.push_back({i, at, std::min(at + size, s.lengths[i])});
    }
    if (step.empty()) return steps;
    steps.push_back(step);
  }
}

// What the cache holds of x.
double Cached(float x, KvType type) {
  return double{type == KvType::kBF16 ? Bf16ToFloat(FloatToBf16(x)) : x};
}

// A query vector's elements, keys and values of its sequence and head, as the cache holds them.
std::vector<double> Reference(const Sequences& s, size_t sequence, int position, int head,
                              KvType type) {
  const Shape& shape = s.shape;
  const int kv_head = head / (shape.heads / shape.kv_heads);
  const auto slice = [](const std::vector<float>& from, int heads, int at_head, int at_position,
                        int width) {
    return from.begin() + (int64_t{at_position} * heads + at_head) * width;
  };
  const int dims = shape.head_dim;
  const auto q = slice(s.q[sequence], shape.heads, head, position, dims);
  std::vector<double> keys;
  std::vector<double> values;
  int first = shape.window > 0 ? std::max(0, position + 1 - shape.window) : 0;
  if (shape.chunk > 0) first = std::max(first, position / shape.chunk * shape.chunk);
  for (int j = first; j <= position; ++j) {
    const auto k = slice(s.k[sequence], shape.kv_heads, kv_head, j, dims);
    const auto v = shape.values_inside > 0
                       ? k
                       : slice(s.v[sequence], shape.kv_heads, kv_head, j, shape.value_dim());
    for (int64_t d = 0; d < shape.head_dim; ++d) keys.push_back(Cached(k[d], type));
    for (int64_t d = 0; d < shape.value_dim(); ++d) values.push_back(Cached(v[d], type));
  }
  const double sink = shape.sinks ? double{SinksOf(shape)[static_cast<size_t>(head)]}
                                  : -std::numeric_limits<double>::infinity();
  return ReferenceAttention({q, q + shape.head_dim}, keys, values, ParamsOf(shape), sink);
}

// A score s = scale * q . k is wrong by at most ds = (head_dim + 3) e * S with S = scale * sum |q
// k|, and with a bf16 cache, where kernels may round q as well, by 2^-9 S more. That changes a
// probability by a factor of 1 +- 2 ds, rounding it to bf16 by 2^-9, the exponential by 4 e; and a
// mean of values v, whose weights are each wrong by a factor of 1 +- w, is wrong by at most 2 w max
// |v|. The sum adds (length + 8) e max |v|. Here S <= 1.2 sqrt(head_dim) and |v| <= 5 (5 sigma).
double Bound(const Shape& shape, int length, KvType type) {
  const double e = 0x1p-24;
  const double rounding = type == KvType::kBF16 ? 0x1p-9 : 0.0;
  const double score = ((shape.head_dim + 3) * e + rounding) * 1.2 * std::sqrt(shape.head_dim);
  return 5 * (2 * (2 * score + rounding + 4 * e) + (length + 8) * e);
}

void ExpectSame(const std::vector<std::vector<float>>& a,
                const std::vector<std::vector<float>>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].size(), b[i].size());
    EXPECT_EQ(std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)), 0)
        << "sequence " << i;
  }
}

class AttentionTest : public testing::TestWithParam<std::tuple<BackendCase, KvType>> {
 protected:
  const BackendCase& backend() const { return std::get<0>(GetParam()); }
  KvType type() const { return std::get<1>(GetParam()); }
  // The reference takes one row at a time and has no segments or tiles to get wrong, but needs long
  // for it, as the emulation does: their sequences are the short ones.
  std::vector<int> Lengths(std::vector<int> lengths, int longest_of_reference) const {
    if (backend().name != "Reference" && !backend().slow) return lengths;
    const int longest = backend().slow ? std::min(longest_of_reference, 75) : longest_of_reference;
    for (int& length : lengths) length = std::min(length, longest);
    return lengths;
  }
};

TEST_P(AttentionTest, MatchesTheReferenceForEveryShape) {
  const std::vector<Shape> shapes = {
      {1, 1, 16},
      {4, 4, 8},
      {4, 1, 128},
      {6, 2, 64},
      {12, 2, 80},
      {16, 4, 128},
      {8, 1, 256},
      {5, 1, 33},
      {3, 3, 7},
      {4, 2, 72},
      {7, 1, 24, 5},
      {4, 2, 32, 1},
      {4, 2, 32, 64},
      {4, 2, 32, 0, 32},
      {4, 2, 32, 0, 8},
      {4, 2, 32, 9, 5},
      {2, 2, 40, 100, 24},
      {2, 1, 48, 0, 1},
      {4, 2, 32, 300},
      {32, 1, 16},
      {128, 1, 16},
      {4, 2, 33, 0, 17},
      {4, 2, 24, 7, 3},
      {4, 2, 32, 0, 31},
      {.heads = 4, .kv_heads = 2, .head_dim = 24, .chunk = 1},
      {.heads = 4, .kv_heads = 2, .head_dim = 24, .chunk = 50},
      {.heads = 4, .kv_heads = 2, .head_dim = 24, .window = 30, .chunk = 50},
      {.heads = 4, .kv_heads = 1, .head_dim = 24, .softcap = 0.5f},
      {.heads = 6, .kv_heads = 2, .head_dim = 24, .sinks = true},
      {.heads = 6, .kv_heads = 2, .head_dim = 24, .window = 7, .sinks = true},
      {.heads = 4,
       .kv_heads = 2,
       .head_dim = 24,
       .block_size = 5,
       .chunk = 70,
       .softcap = 3,
       .sinks = true},
      {.heads = 16, .kv_heads = 1, .head_dim = 72, .values_inside = 64},
      {.heads = 5, .kv_heads = 1, .head_dim = 27, .values_inside = 20},
      {.heads = 6, .kv_heads = 2, .head_dim = 33, .block_size = 7, .values_inside = 33},
      {.heads = 9, .kv_heads = 1, .head_dim = 19, .block_size = 24, .values_inside = 7},
      {.heads = 128, .kv_heads = 1, .head_dim = 20, .values_inside = 17},
      {.heads = 4, .kv_heads = 2, .head_dim = 24, .beside = 14},
      {.heads = 3, .kv_heads = 1, .head_dim = 16, .block_size = 5, .beside = 40},
  };
  for (const Shape& shape : shapes) {
    const Sequences s = MakeSequences(shape, Lengths({1, 16, 37, 290}, 120));
    Machine machine(backend(), 2, type(), s, 8);
    const std::vector<std::vector<float>> outputs = machine.RunAll(InChunks(s, 100));
    for (size_t i = 0; i < s.lengths.size(); ++i) {
      double worst = 0;
      for (int position = 0; position < s.lengths[i]; position += position < 20 ? 1 : 9) {
        for (int head = 0; head<shape.heads; head += shape.heads> 8 ? 5 : 1) {
          const std::vector<double> exact = Reference(s, i, position, head, type());
          const size_t at =
              static_cast<size_t>((position * shape.heads + head) * shape.value_dim());
          for (size_t d = 0; d < exact.size(); ++d)
            worst = std::max(worst, std::abs(double{outputs[i][at + d]} - exact[d]));
          ASSERT_FALSE(std::isnan(outputs[i][at]));
        }
      }
      EXPECT_LE(worst, Bound(shape, s.lengths[i], type()))
          << "heads " << shape.heads << "/" << shape.kv_heads << " x " << shape.head_dim
          << " window " << shape.window << " block " << shape.block_size << " length "
          << s.lengths[i];
    }
  }
}

TEST_P(AttentionTest, ReadsWhatIsInTheCacheWithoutKeysOfItsOwn) {
  const Sequences s = MakeSequences({.heads = 4, .kv_heads = 2, .head_dim = 24}, {70, 5});
  Machine machine(backend(), 2, type(), s, 3);
  const Step all = {{0, 0, 70}, {1, 0, 5}};
  const std::vector<float> written = machine.Run(all);
  EXPECT_EQ(machine.Run(all, false), written);
}

TEST_P(AttentionTest, GivesTheSameBitsForEveryChunkingThreadCountAndBlockOrder) {
  for (const Shape& shape : std::vector<Shape>{
           {8, 2, 64},
           {3, 3, 40},
           {4, 1, 32, 70},
           {6, 1, 16, 0, 8},
           {.heads = 4, .kv_heads = 2, .head_dim = 16, .chunk = 100, .softcap = 2, .sinks = true},
           {.heads = 12, .kv_heads = 1, .head_dim = 40, .block_size = 8, .values_inside = 32}}) {
    const Sequences s = MakeSequences(shape, Lengths({520, 3, 270}, 120));
    Machine whole(backend(), 1, type(), s, 9);
    const std::vector<std::vector<float>> expected = whole.RunAll(InChunks(s, 1000));
    for (const auto& [chunk, threads] : {std::pair{1, 2}, {7, 5}, {64, 2}, {64, 5}, {512, 3}}) {
      Machine machine(backend(), threads, type(), s, static_cast<unsigned>(10 + chunk));
      ExpectSame(machine.RunAll(InChunks(s, chunk)), expected);
    }
  }
}

TEST_P(AttentionTest, GivesARowTheSameBitsWhateverElseIsInTheBatch) {
  for (const Shape& shape : std::vector<Shape>{
           {8, 2, 64}, {.heads = 8, .kv_heads = 1, .head_dim = 36, .values_inside = 32}}) {
    const Sequences s = MakeSequences(shape, {530, 90, 41});
    Machine together(backend(), 2, type(), s, 11);
    // Prefill of one beside decode of another.
    std::vector<Step> steps = {{{0, 0, 400}, {2, 0, 40}}};
    for (int i = 0; i < 90; ++i) {
      Step step = {{1, i, i + 1}, {0, 400 + i, 401 + i}};
      if (i == 50) step.push_back({2, 40, 41});
      steps.push_back(step);
    }
    steps.push_back({{0, 490, 530}});
    const std::vector<std::vector<float>> mixed = together.RunAll(steps);
    for (size_t i = 0; i < s.lengths.size(); ++i) {
      Machine alone(backend(), 3, type(), s, 12);
      const std::vector<std::vector<float>> outputs = alone.RunAll({{{i, 0, s.lengths[i]}}});
      ExpectSame({mixed[i]}, {outputs[i]});
    }
  }
}

// Longer than what one part of a backend takes. The sequence is written by rows that see themselves
// alone, as all would take long.
TEST_P(AttentionTest, ReadsLongSequences) {
  for (const bool sinks : {false, true}) {
    const Shape shape{.heads = 4, .kv_heads = 2, .head_dim = 16, .sinks = sinks};
    Sequences s = MakeSequences(shape, {2600});
    Machine machine(backend(), 2, type(), s, 20);
    s.shape.window = 1;
    machine.Run({{0, 0, 2600}});
    s.shape.window = 0;
    const std::vector<float> output = machine.Run({{0, 2597, 2600}});
    for (int position = 2597; position < 2600; ++position) {
      for (int head = 0; head < 4; ++head) {
        const std::vector<double> exact = Reference(s, 0, position, head, type());
        const auto at = static_cast<size_t>(((position - 2597) * 4 + head) * 16);
        for (size_t d = 0; d < exact.size(); ++d)
          ASSERT_NEAR(output[at + d], exact[d], Bound(shape, 2600, type())) << position;
      }
    }
    const std::vector<float> alone = machine.Run({{0, 2599, 2600}});
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), output.begin() + 2 * 4 * 16));
  }
}

TEST_P(AttentionTest, ReadsPrefixBlocksThatSequencesShare) {
  const Shape shape{4, 2, 32};
  Sequences s = MakeSequences(shape, {100, 100});
  const size_t shared = 64 * 2 * 32;
  std::copy_n(s.k[0].begin(), shared, s.k[1].begin());
  std::copy_n(s.v[0].begin(), shared, s.v[1].begin());
  Machine separate(backend(), 2, type(), s, 13);
  const std::vector<std::vector<float>> expected = separate.RunAll(InChunks(s, 100));
  Machine machine(backend(), 2, type(), s, 14);
  std::copy_n(machine.tables()[0].begin(), 4, machine.tables()[1].begin());
  std::vector<std::vector<float>> outputs = machine.RunAll({{{0, 0, 100}}, {{1, 64, 100}}});
  const int64_t begin = 64 * 4 * 32;
  EXPECT_TRUE(
      std::equal(outputs[1].begin() + begin, outputs[1].end(), expected[1].begin() + begin));
}

TEST_P(AttentionTest, IgnoresWhatAnotherSequenceLeftInABlock) {
  for (const auto& [block_size, values_inside] :
       {std::pair{16, 0}, {5, 0}, {32, 0}, {1, 0}, {17, 0}, {24, 0}, {16, 20}, {5, 24}, {1, 8}}) {
    const Shape shape{.heads = 4,
                      .kv_heads = 2,
                      .head_dim = 24,
                      .block_size = block_size,
                      .values_inside = values_inside};
    Sequences s = MakeSequences(shape, {49, 64});
    const Sequences alone = MakeSequences(shape, {49});
    Machine clean(backend(), 2, type(), alone, 15);
    const std::vector<std::vector<float>> expected = clean.RunAll(InChunks(alone, 7));
    for (float& x : s.k[1]) x = std::numeric_limits<float>::quiet_NaN();
    for (float& x : s.v[1]) x = std::numeric_limits<float>::infinity();
    Machine reused(backend(), 2, type(), s, 15);
    reused.Run({{1, 0, 64}});
    reused.tables()[0] = reused.tables()[1];
    for (int at = 0; at < 49; at += 7) {
      const std::vector<float> output = reused.Run({{0, at, at + 7}});
      EXPECT_TRUE(std::equal(output.begin(), output.end(),
                             expected[0].begin() + at * 4 * shape.value_dim()))
          << "block size " << block_size << " position " << at;
    }
  }
}

TEST_P(AttentionTest, NeedsNoBlocksThatTheWindowHasPassed) {
  const Shape shape{4, 2, 16, 32};
  const Sequences s = MakeSequences(shape, {200});
  Machine all(backend(), 2, type(), s, 16);
  const std::vector<std::vector<float>> expected = all.RunAll(InChunks(s, 8));
  Machine machine(backend(), 2, type(), s, 16);
  std::vector<std::vector<float>> outputs = machine.RunAll({{{0, 0, 100}}});
  for (size_t block = 0; block < 4; ++block) machine.tables()[0][block] = -1;
  const std::vector<float> tail = machine.Run({{0, 100, 200}});
  EXPECT_TRUE(std::equal(tail.begin(), tail.end(), expected[0].begin() + 100 * 4 * 16));
}

TEST_P(AttentionTest, PassesOverSequencesWithoutRows) {
  const Shape shape{4, 2, 24};
  const Sequences s = MakeSequences(shape, {30, 5, 400});
  Machine plain(backend(), 2, type(), s, 19);
  const std::vector<float> expected = plain.Run({{0, 0, 30}, {2, 0, 400}});
  Machine machine(backend(), 2, type(), s, 19);
  EXPECT_EQ(machine.Run({{1, 0, 0}, {0, 0, 30}, {1, 0, 0}, {2, 0, 400}, {1, 0, 0}}), expected);
}

TEST_P(AttentionTest, SurvivesScoresFarApart) {
  const Shape shape{2, 1, 16};
  Sequences s = MakeSequences(shape, {300});
  for (float& x : s.k[0]) x *= 1e4f;
  for (float& x : s.q[0]) x *= 1e3f;
  Machine machine(backend(), 2, type(), s, 17);
  const std::vector<std::vector<float>> outputs = machine.RunAll(InChunks(s, 128));
  for (const float x : outputs[0]) ASSERT_TRUE(std::isfinite(x));
}

TEST_P(AttentionTest, PassesOnANaN) {
  const Shape shape{2, 1, 16};
  Sequences s = MakeSequences(shape, {40, 40});
  s.q[0][39 * 32] = std::numeric_limits<float>::quiet_NaN();
  Machine machine(backend(), 2, type(), s, 18);
  const std::vector<std::vector<float>> outputs = machine.RunAll(InChunks(s, 64));
  EXPECT_TRUE(std::isnan(outputs[0][39 * 32]));
  for (size_t i = 0; i < 39 * 32; ++i) ASSERT_TRUE(std::isfinite(outputs[0][i]));
  for (const float x : outputs[1]) ASSERT_TRUE(std::isfinite(x));
}

INSTANTIATE_TEST_SUITE_P(Backends, AttentionTest,
                         testing::Combine(testing::ValuesIn(BackendCases()),
                                          testing::Values(KvType::kF32, KvType::kBF16)),
                         [](const auto& info) {
                           return std::get<0>(info.param).name +
                                  (std::get<1>(info.param) == KvType::kBF16 ? "Bf16" : "F32");
                         });

}  // namespace
}  // namespace conclave
