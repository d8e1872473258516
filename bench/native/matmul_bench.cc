// How near the matmuls come to the machine's limits, on the shapes of a mixture-of-experts layer:
// hidden 1024, 64 experts of width 512, 8 per token. Decode (few rows) is set against the read
// bandwidth, prefill (many rows) against arithmetic, both measured in this run.
//
//   matmul_bench [--threads N] [--layers N] [--format bf16|q8|f32] [--isa portable|avx2|avx512]
//   [--repeats N]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "conclave/base/error.h"
#include "conclave/base/thread_pool.h"
#include "conclave/weights/decoded_source.h"
#include "kernels/cpu/machine/machine_limits.h"
#include "kernels/cpu/machine/weight_memory.h"
#include "kernels/cpu/matmul/matmul.h"

namespace conclave {
namespace {

constexpr int64_t kHidden = 1024;
constexpr int64_t kWidth = 512;
constexpr int kExperts = 64;
constexpr int kTopK = 8;
constexpr int64_t kQueryRows = 2048;
constexpr int64_t kKeyRows = 512;

struct Options {
  int threads = 2;
  int layers = 14;
  int repeats = 9;
  WeightsFormat format = WeightsFormat::kBF16;
  Isa isa = SupportedIsas().back();
};

struct Layer {
  std::vector<FfnWeights> experts;
  PackedMatrix q, k, v, o;
};

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options), pool_(options.threads), kernels_(CreateMatmulKernels(options.isa)) {
    std::memset(plain_.get(), 1, kPlainBytes);
    std::vector<uint16_t> source(static_cast<size_t>(kQueryRows * kHidden));
    std::mt19937 random(1);
    // Bits of bf16 numbers between 2^-8 and 2^-5, of either sign.
    for (uint16_t& x : source) x = static_cast<uint16_t>((random() & 0x81ff) | 0x3b80);
    const auto pack = [&](int64_t rows, int64_t cols) {
      packed_elements_ += rows * cols;
      MemorySource matrix(source.data(), SourceType::kBF16, rows, cols, cols);
      return kernels_->Pack(matrix, options_.format);
    };
    const auto start = Now();
    layers_.resize(static_cast<size_t>(options.layers));
    for (Layer& layer : layers_) {
      for (int expert = 0; expert < kExperts; ++expert) {
        layer.experts.push_back(
            {pack(kWidth, kHidden), pack(kWidth, kHidden), pack(kHidden, kWidth)});
      }
      layer.q = pack(kQueryRows, kHidden);
      layer.k = pack(kKeyRows, kHidden);
      layer.v = pack(kKeyRows, kHidden);
      layer.o = pack(kHidden, kQueryRows);
    }
    const double seconds = Seconds(start);
    std::printf("packing on one thread          %7.2f GB/s of checkpoint\n",
                2e-9 * static_cast<double>(packed_elements_) / seconds);
  }

  void Run() {
    for (int64_t m : {1, 2, 4, 8, 16, 32, 128, 512}) Measure(m);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static Clock::time_point Now() { return Clock::now(); }
  static double Seconds(Clock::time_point since) {
    return std::chrono::duration<double>(Now() - since).count();
  }

  double ReadBandwidth() {
    double best = 0;
    for (int i = 0; i < 2; ++i)
      best = std::max(best, MeasureReadBandwidth(pool_, {plain_.get(), kPlainBytes}));
    return best;
  }

  // Rows of each expert when every one of m rows goes to kTopK experts at random.
  static std::vector<int64_t> Route(int64_t m, std::mt19937& random) {
    std::vector<int64_t> counts(kExperts);
    std::vector<int> ids(kExperts);
    std::iota(ids.begin(), ids.end(), 0);
    for (int64_t row = 0; row < m; ++row) {
      std::shuffle(ids.begin(), ids.end(), random);
      for (int i = 0; i < kTopK; ++i) ++counts[static_cast<size_t>(ids[static_cast<size_t>(i)])];
    }
    return counts;
  }

  void Measure(int64_t m) {
    std::mt19937 random(static_cast<uint32_t>(m));
    const auto rows = static_cast<size_t>(m * kTopK);
    std::vector<float> input(rows * kHidden);
    std::normal_distribution<float> normal(0, 1);
    for (float& x : input) x = normal(random);
    std::vector<float> output(rows * kHidden);
    std::vector<float> q(static_cast<size_t>(m * kQueryRows), 0.5f);
    std::vector<float> k(static_cast<size_t>(m * kKeyRows));
    std::vector<float> v(k.size());

    std::vector<double> ffn_seconds;
    std::vector<double> dense_seconds;
    double ffn_bytes = 0;
    double dense_bytes = 0;
    double limit = 0;
    for (int repeat = 0; repeat <= options_.repeats; ++repeat) {
      if (repeat % 4 == 0) limit = std::max(limit, ReadBandwidth());
      double ffn = 0;
      double dense = 0;
      ffn_bytes = dense_bytes = 0;
      for (size_t index = 0; index < layers_.size(); ++index) {
        const Layer& layer = layers_[index];
        const PackedMatrix* const qkv[] = {&layer.q, &layer.k, &layer.v};
        const float* const bias[] = {nullptr, nullptr, nullptr};
        float* const outputs[] = {q.data(), k.data(), v.data()};
        auto start = Now();
        kernels_->MatmulMany(pool_, qkv, input.data(), m, bias, outputs);
        kernels_->Matmul(pool_, layer.o, q.data(), m, nullptr, output.data());
        dense += Seconds(start);
        dense_bytes += static_cast<double>(layer.q.bytes() + 2 * layer.k.bytes() + layer.o.bytes());

        const std::vector<int64_t> counts = Route(m, random);
        std::vector<FfnGroup> groups;
        int64_t row = 0;
        for (size_t expert = 0; expert < kExperts; ++expert) {
          const int64_t count = counts[expert];
          if (count == 0) continue;
          const FfnWeights& weights = layer.experts[expert];
          groups.push_back({&weights, row, row + count});
          row += count;
          ffn_bytes +=
              static_cast<double>(weights.gate.bytes() + weights.up.bytes() + weights.down.bytes());
        }
        start = Now();
        kernels_->GroupedFfn(pool_, groups, input.data(), output.data());
        ffn += Seconds(start);
      }
      if (repeat == 0) continue;  // warm-up
      ffn_seconds.push_back(ffn);
      dense_seconds.push_back(dense);
    }
    const double layers = static_cast<double>(layers_.size());
    Report("experts", m, ffn_seconds, ffn_bytes,
           layers * static_cast<double>(rows) * 3 * kHidden * kWidth, limit);
    Report("qkv + o", m, dense_seconds, dense_bytes,
           layers * static_cast<double>(m) * (kQueryRows * 2 + kKeyRows * 2) * kHidden, limit);
  }

  void Report(const char* name, int64_t m, std::vector<double>& seconds, double bytes, double macs,
              double limit) const {
    std::sort(seconds.begin(), seconds.end());
    const double median = seconds[seconds.size() / 2];
    std::printf(
        "%s, %3d rows: median %8.3f ms (best %8.3f, worst %8.3f); %6.1f GB/s = %3.0f %% of %.1f; "
        "%7.1f GFLOP/s\n",
        name, static_cast<int>(m), median * 1e3, seconds.front() * 1e3, seconds.back() * 1e3,
        bytes / median * 1e-9, 100 * bytes / median / limit, limit * 1e-9,
        2 * macs / median * 1e-9);
    std::fflush(stdout);
  }

  // Twice the largest L3 cache in use, in huge pages as weights are.
  static constexpr size_t kPlainBytes = size_t{512} << 20;

  Options options_;
  ThreadPool pool_;
  WeightMemory memory_;
  std::shared_ptr<uint8_t> plain_ = memory_.Allocate(kPlainBytes);
  std::unique_ptr<MatmulKernels> kernels_;
  std::vector<Layer> layers_;
  int64_t packed_elements_ = 0;
};

Options Parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = arguments[i];
    const std::string value = arguments[i + 1];
    if (name == "--threads") {
      options.threads = std::atoi(value.c_str());
    } else if (name == "--layers") {
      options.layers = std::atoi(value.c_str());
    } else if (name == "--repeats") {
      options.repeats = std::atoi(value.c_str());
    } else if (name == "--format") {
      options.format = value == "q8"    ? WeightsFormat::kQ8
                       : value == "f32" ? WeightsFormat::kF32
                                        : WeightsFormat::kBF16;
    } else if (name == "--isa") {
      options.isa = value == "portable" ? Isa::kPortable
                    : value == "avx2"   ? Isa::kAvx2
                                        : Isa::kAvx512;
    } else {
      throw Error(ErrorCode::kInvalidArgument, name + ": unknown option");
    }
  }
  return options;
}

}  // namespace
}  // namespace conclave

int main(int count, char** arguments) {
  try {
    const conclave::Options options = conclave::Parse(count, arguments);
    {
      conclave::ThreadPool pool(options.threads);
      for (const conclave::ArithmeticLimit& limit : conclave::MeasureArithmetic(pool)) {
        std::printf("limit, %-22s  %7.1f GFLOP/s\n", limit.name.c_str(),
                    2e-9 * limit.multiply_adds_per_second);
      }
    }
    conclave::Bench(options).Run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "matmul_bench: %s\n", error.what());
    return 1;
  }
}
