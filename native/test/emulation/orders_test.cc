// Kernels give the same bits in whatever order threads run between barriers, and whenever
// asynchronous copies land. Built with ThreadSanitizer too, which reports missing barriers.

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>

#include "conformance/weights.h"
#include "emulation/block.h"
#include "kernels/cuda/backend.h"

namespace conclave {
namespace {

// ThreadSanitizer looks for races, whatever comes out, and takes its time.
#if defined(__SANITIZE_THREAD__)
constexpr bool kRaces = true;
#else
constexpr bool kRaces = false;
#endif

std::vector<float> Normal(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(count));
  for (float& v : x) v = normal(random);
  return x;
}

// A device whose memory is full of NaN where nothing was written.
class Gpu {
 public:
  Backend& operator*() { return *backend_; }
  Backend* operator->() { return backend_.get(); }

  Tensor Upload(int64_t rows, int64_t width, unsigned seed) {
    const Tensor x = arena_.Rows(rows, width);
    const std::vector<float> values = Normal(rows * width, seed);
    backend_->Upload(
        ActivationType::kF32,
        {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)}, x);
    return x;
  }
  Tensor Empty(int64_t rows, int64_t width) { return arena_.Rows(rows, width); }
  Grid UploadGrid(const std::vector<int32_t>& exponents) {
    const Grid grid = arena_.Take<int32_t>(static_cast<int64_t>(exponents.size()), 1);
    backend_->Upload(exponents, grid);
    return grid;
  }
  template <typename Element>
  DeviceRows<Element> Take(int64_t rows, int64_t width) {
    return arena_.Take<Element>(rows, width);
  }
  std::vector<float> Download(const Tensor& x) {
    std::vector<float> values(static_cast<size_t>(x.elements()));
    backend_->Download(x, values);
    backend_->Synchronise();
    return values;
  }

 private:
  std::unique_ptr<Backend> backend_ = cuda::CreateBackend(0, 1);
  Arena arena_{*backend_};
};

FfnPtr PackFfn(Backend& backend, const Format& format, uint32_t seed) {
  const RandomMatrix gate(format, 40, 70, seed), up(format, 40, 70, seed + 1),
      down(format, 70, 40, seed + 2);
  TestSource gates = gate.source(), ups = up.source(), downs = down.source();
  return backend.PackFfn({.gate = &gates, .up = ups, .down = downs}, format.format);
}

// Twenty rows by three experts, some by none.
std::vector<float> RunExperts(const Format& format) {
  Gpu gpu;
  std::vector<FfnPtr> experts;
  std::vector<ExpertEntry> entries;
  std::vector<ExpertGroup> groups;
  for (int32_t expert = 0; expert < 3; ++expert) {
    experts.push_back(PackFfn(*gpu, format, static_cast<uint32_t>(10 * expert)));
    const auto begin = static_cast<int64_t>(entries.size());
    for (int32_t row = expert; row < 20; row += 1 + expert) entries.push_back({expert, row, 0.5f});
    groups.push_back({experts.back().get(), begin, static_cast<int64_t>(entries.size())});
  }
  const auto totals = gpu.Take<double>(20, 70);
  const Grid grid = gpu.UploadGrid(std::vector<int32_t>(20, -20));
  gpu->Clear(totals);
  gpu->Experts(groups, entries, ExpertWeights::kOnOutput, gpu.Upload(20, 70, 1), grid, totals);
  const Tensor output = gpu.Empty(20, 70);
  gpu->TakeTotals(totals, grid, output);
  return gpu.Download(output);
}

std::vector<float> RunGate() {
  Gpu gpu;
  const RandomMatrix matrix(Formats()[0], 40, 30, 3);
  TestSource source = matrix.source();
  const MatrixPtr weight = gpu->Pack(source, WeightsFormat::kF32);
  const GateChoice choice{gpu.Take<int32_t>(3, 4), gpu.Empty(3, 4)};
  gpu->Gate(
      gpu.Upload(3, 30, 2), *weight,
      {.top_k = 4, .scoring = GateScoring::kSigmoid, .renormalise = true, .groups = {8, 3, true}},
      choice);
  std::vector<float> chosen = gpu.Download(choice.weights);
  std::vector<int32_t> ids(12);
  gpu->Download(choice.ids, ids);
  gpu->Synchronise();
  chosen.insert(chosen.end(), ids.begin(), ids.end());
  return chosen;
}

// Two sequences, in two steps; what no step has written of the cache is zeros.
std::vector<float> RunAttention(KvType type, int head_dim, int values_inside) {
  Gpu gpu;
  const AttentionParams params{.heads = 10,
                               .kv_heads = 1,
                               .head_dim = head_dim,
                               .values_inside = values_inside,
                               .scale = 0.2f};
  const auto cache = gpu->CreateCache({24, 8, 1, head_dim, values_inside}, type);
  const std::vector<int32_t> tables = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22,
                                       1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23};
  std::vector<float> outputs;
  for (const auto& [first, count] : {std::pair{kRaces ? 67 : 0, kRaces ? 1 : 70}, {70, 2}}) {
    std::vector<int32_t> positions;
    for (int sequence = 0; sequence < 2; ++sequence)
      for (int i = 0; i < count; ++i) positions.push_back(first + i);
    const std::vector<int32_t> offsets = {0, count, 2 * count}, table_offsets = {0, 12, 24};
    const auto where = gpu->Place({positions, offsets, tables, table_offsets, {}});
    const int64_t rows = 2 * count;
    const Tensor output =
        gpu.Empty(rows, 10 * int64_t{values_inside > 0 ? values_inside : params.head_dim});
    gpu->Attend(params, *where, gpu.Upload(rows, 10 * head_dim, 4), gpu.Upload(rows, head_dim, 5),
                values_inside > 0 ? Tensor() : gpu.Upload(rows, head_dim, 6), nullptr, *cache,
                output);
    const std::vector<float> values = gpu.Download(output);
    outputs.insert(outputs.end(), values.begin(), values.end());
  }
  return outputs;
}

std::vector<float> RunNormsAndRecurrences() {
  Gpu gpu;
  const std::vector<int32_t> positions = {0, 1, 2, 0}, offsets = {0, 3, 4}, slots = {1, 0};
  const auto where = gpu->Place({positions, offsets, {}, {}, slots});
  const Tensor x = gpu.Upload(4, 300, 7);
  gpu->RmsNorm(x, *gpu->Store(Normal(300, 8)), 1e-5f, x);
  gpu->LayerNorm(x, *gpu->Store(Normal(300, 9)), nullptr, 1e-5f, x);
  const auto states = gpu->CreateStates({2, 2 * 300});
  gpu->ClearStates(slots, *states);
  const Tensor output = gpu.Empty(4, 300);
  gpu->Convolve(x, *gpu->Store(Normal(900, 10)), nullptr, true, *where, *states, output);
  const auto memory = gpu->CreateStates({2, 2 * 20 * 40});
  gpu->ClearStates(slots, *memory);
  const Tensor attended = gpu.Empty(4, 80);
  gpu->LinearAttend(
      {.key_heads = 1, .value_heads = 2, .key_dim = 20, .value_dim = 40, .delta = true}, *where,
      gpu.Upload(4, 20, 11), gpu.Upload(4, 20, 12), gpu.Upload(4, 80, 13), gpu.Upload(4, 2, 14),
      gpu.Upload(4, 2, 15), *memory, attended);
  std::vector<float> all = gpu.Download(output);
  const std::vector<float> rest = gpu.Download(attended);
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
}

class OrdersTest : public testing::Test {
 protected:
  ~OrdersTest() override { emu::options() = {}; }

  static void ExpectTheSame(const std::function<std::vector<float>()>& run) {
    emu::options() = {emu::Options::Order::kAscending, emu::Options::Copies::kEarly, 1};
    if (kRaces) emu::options().order = emu::Options::Order::kRandom;
    const std::vector<float> expected = run();
    for (const float value : expected) ASSERT_FALSE(std::isnan(value));
    emu::options() = {emu::Options::Order::kDescending, emu::Options::Copies::kLate, 1};
    for (uint64_t seed = 1; seed <= (kRaces ? 0 : 3); ++seed) {
      const std::vector<float> actual = run();
      EXPECT_EQ(std::memcmp(actual.data(), expected.data(), expected.size() * sizeof(float)), 0)
          << "seed " << seed;
      emu::options() = {emu::Options::Order::kRandom, emu::Options::Copies::kRandom, seed};
    }
  }
};

TEST_F(OrdersTest, OfThreadsDoNotChangeExperts) {
  for (const Format& format : Formats()) {
    if (format.source != SourceType::kF32) continue;
    if (kRaces && format.format != WeightsFormat::kBF16 && format.codes != CodeKind::kZeros)
      continue;
    SCOPED_TRACE(format.name);
    ExpectTheSame([&] { return RunExperts(format); });
  }
}

TEST_F(OrdersTest, OfThreadsDoNotChangeGates) { ExpectTheSame(RunGate); }

TEST_F(OrdersTest, OfThreadsDoNotChangeAttention) {
  ExpectTheSame([] { return RunAttention(KvType::kBF16, 72, 0); });  // by tensor cores
  ExpectTheSame([] { return RunAttention(KvType::kBF16, 36, 0); });
  ExpectTheSame([] { return RunAttention(KvType::kF32, 36, 32); });
}

TEST_F(OrdersTest, OfThreadsDoNotChangeNormsAndRecurrences) {
  ExpectTheSame(RunNormsAndRecurrences);
}

TEST(BankConflicts, AreNoneWhereProductsOfBf16ReadSharedMemory) {
  if (kRaces) GTEST_SKIP() << "conflicts are no races";
  const uint64_t before = emu::statistics().bank_conflicts;
  RunExperts(Formats()[3]);
  EXPECT_EQ(emu::statistics().bank_conflicts, before);
}

}  // namespace
}  // namespace conclave
