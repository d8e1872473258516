// How near attention comes to the machine's limits with a bf16 cache, on the shape of moe-1b7 (16
// query heads, 4 key/value heads of 128 elements) and over latents of DeepSeek-V3 and V2-Lite.
// Decode is set against the read bandwidth, prefill against arithmetic, both measured in this run.
// As the layers of a model do, successive calls use other blocks, so that no cache of the CPU holds
// them. One line of JSON for each case.
//
//   attention_bench [--threads N] [--isa portable|avx2|avx512] [--repeats N] [--cache-mib N]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "conclave/base/error.h"
#include "conclave/base/thread_pool.h"
#include "kernels/cpu/machine/machine_limits.h"
#include "kernels/cpu/ops.h"

namespace conclave {
namespace {

constexpr int kBlockSize = 16;

struct Shape {
  const char* name;
  int heads;
  int kv_heads;
  int head_dim;
  int values_inside;  // 0: values are beside keys

  // Elements of a value.
  int value_dim() const { return values_inside > 0 ? values_inside : head_dim; }
  // Bytes of a position in the cache.
  int position_bytes() const {
    return 2 * kv_heads * (head_dim + (values_inside > 0 ? 0 : head_dim));
  }
};

constexpr Shape kShapes[] = {{"heads", 16, 4, 128, 0},
                             {"latents", 128, 1, 576, 512},
                             {"latents, 16 heads", 16, 1, 576, 512}};

struct Options {
  int threads = 2;
  int repeats = 31;
  int64_t cache_mib = 1024;
  Isa isa = SupportedIsas().back();
};

const char* NameOf(Isa isa) {
  return isa == Isa::kPortable ? "portable" : isa == Isa::kAvx2 ? "avx2" : "avx512";
}

std::vector<float> Normal(size_t count, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> x(count);
  for (float& v : x) v = normal(random);
  return x;
}

class Bench {
 public:
  Bench(const Options& options, const Shape& shape)
      : options_(options),
        shape_(shape),
        pool_(options.threads),
        cache_({options.cache_mib * (1 << 20) / (kBlockSize * shape.position_bytes()), kBlockSize,
                shape.kv_heads, shape.head_dim, shape.values_inside},
               KvType::kBF16),
        free_(static_cast<size_t>(cache_.shape().blocks)) {
    // Bits of bf16 numbers between 2^-8 and 2^-5, of either sign.
    auto* elements = reinterpret_cast<uint16_t*>(cache_.data());
    for (size_t i = 0; i < cache_.bytes() / 2; ++i)
      elements[i] = static_cast<uint16_t>((random_() & 0x81ff) | 0x3b80);
    std::iota(free_.begin(), free_.end(), 0);
    std::shuffle(free_.begin(), free_.end(), random_);
    arithmetic_ = MeasureArithmetic(pool_);
  }

  void Run() {
    for (const int rows : {512, 2048}) Measure("prefill", 1, rows, rows);
    for (const int context : {512, 4096}) {
      for (const int sequences : {1, 8, 16}) Measure("decode", sequences, 1, context);
    }
  }

 private:
  using Clock = std::chrono::steady_clock;

  // The last `rows` rows of each sequence of length `context`.
  void Measure(const char* kind, int sequences, int rows, int context) {
    const size_t batch = static_cast<size_t>(sequences) * static_cast<size_t>(rows);
    const std::vector<float> q =
        Normal(batch * static_cast<size_t>(shape_.heads * shape_.head_dim), random_);
    const std::vector<float> k =
        Normal(batch * static_cast<size_t>(shape_.kv_heads * shape_.head_dim), random_);
    const std::vector<float> v = Normal(k.size(), random_);
    std::vector<float> output(batch * static_cast<size_t>(shape_.heads * shape_.value_dim()));
    std::vector<int32_t> positions;
    std::vector<int32_t> offsets = {0};
    std::vector<int32_t> block_offsets = {0};
    const int blocks = (context + kBlockSize - 1) / kBlockSize;
    for (int s = 0; s < sequences; ++s) {
      for (int row = 0; row < rows; ++row) positions.push_back(context - rows + row);
      offsets.push_back(static_cast<int32_t>(positions.size()));
      block_offsets.push_back((s + 1) * blocks);
    }
    const AttentionParams params{.heads = shape_.heads,
                                 .kv_heads = shape_.kv_heads,
                                 .head_dim = shape_.head_dim,
                                 .values_inside = shape_.values_inside,
                                 .scale = 0.088f};
    std::vector<double> seconds;
    double bandwidth = 0;
    for (int repeat = -2; repeat < options_.repeats; ++repeat) {
      if (repeat % 8 == 0)
        bandwidth =
            std::max(bandwidth, MeasureReadBandwidth(pool_, {cache_.data(), cache_.bytes()}));
      const std::vector<int32_t> tables = TakeBlocks(static_cast<size_t>(sequences * blocks));
      const auto start = Clock::now();
      PagedAttention(options_.isa, pool_, params, {positions, offsets, tables, block_offsets},
                     q.data(), k.data(), shape_.values_inside > 0 ? nullptr : v.data(), nullptr,
                     nullptr, cache_, output.data());
      if (repeat >= 0)
        seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    std::sort(seconds.begin(), seconds.end());
    const double median = seconds[seconds.size() / 2];
    const double bytes = 1.0 * shape_.position_bytes() * context * sequences;
    double keys = 0;
    for (const int32_t position : positions) keys += position + 1;
    const double macs = 1.0 * shape_.heads * (shape_.head_dim + shape_.value_dim()) * keys;
    std::printf(
        R"({"shape": "%s", "case": "%s", "isa": "%s", "threads": %d, "sequences": %d, "rows": %d, "context": %d, "medianMs": %.4f, )"
        R"("bestMs": %.4f, "worstMs": %.4f, "GBps": %.2f, "limitGBps": %.2f, "bandwidthShare": %.2f, "GFLOPs": %.1f)",
        shape_.name, kind, NameOf(options_.isa), options_.threads, sequences, rows, context,
        median * 1e3, seconds.front() * 1e3, seconds.back() * 1e3, bytes / median * 1e-9,
        bandwidth * 1e-9, bytes / median / bandwidth, 2e-9 * macs / median);
    for (const ArithmeticLimit& limit : arithmetic_) {
      std::printf(R"(, "shareOf %s": %.2f)", limit.name.c_str(),
                  macs / median / limit.multiply_adds_per_second);
    }
    std::printf("}\n");
    std::fflush(stdout);
  }

  std::vector<int32_t> TakeBlocks(size_t count) {
    std::vector<int32_t> taken;
    for (size_t i = 0; i < count; ++i) taken.push_back(free_[(next_ + i) % free_.size()]);
    next_ = (next_ + count) % free_.size();
    return taken;
  }

  const Options options_;
  const Shape shape_;
  ThreadPool pool_;
  std::mt19937 random_{1};
  KvCache cache_;
  std::vector<int32_t> free_;
  size_t next_ = 0;
  std::vector<ArithmeticLimit> arithmetic_;
};

Options Parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; i += 2) {
    const std::string name = arguments[i];
    if (i + 1 == count) throw Error(ErrorCode::kInvalidArgument, name + ": expected a value");
    const std::string value = arguments[i + 1];
    if (name == "--threads") {
      options.threads = std::atoi(value.c_str());
    } else if (name == "--repeats") {
      options.repeats = std::max(1, std::atoi(value.c_str()));
    } else if (name == "--cache-mib") {
      options.cache_mib = std::max(300, std::atoi(value.c_str()));
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
    for (const conclave::Shape& shape : conclave::kShapes)
      conclave::Bench(conclave::Parse(count, arguments), shape).Run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "attention_bench: %s\n", error.what());
    return 1;
  }
}
