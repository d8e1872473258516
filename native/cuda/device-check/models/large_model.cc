#include "cuda/device-check/models/large_model.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "conclave/base/message.h"
#include "cuda/device-check/models/whole_model.h"

namespace conclave::device_check {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kBlockSize = 32;
constexpr int kRuns = 5;

// The file of a spec whose tensors all begin where it does: bf16 numbers between 1/64 and 1/32, of
// either sign. Gone with this.
class RandomFile {
 public:
  explicit RandomFile(const CheckpointFile& file) {
    std::string name = (std::filesystem::temp_directory_path() / "conclave-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) Fail(ErrorCode::kIo, name, ": cannot be made");
    folder_ = name;
    std::vector<uint16_t> numbers(size_t{1} << 20);
    uint32_t state = 1;
    std::ofstream output(folder_ / file.path, std::ios::binary);
    for (uint64_t done = 0; done < file.bytes;) {
      for (uint16_t& number : numbers) {
        state = state * 1664525u + 1013904223u;
        number = static_cast<uint16_t>((state >> 16 & 0x807F) | 0x3C80);
      }
      const uint64_t count = std::min<uint64_t>(file.bytes - done, numbers.size() * 2);
      output.write(reinterpret_cast<const char*>(numbers.data()),
                   static_cast<std::streamsize>(count));
      done += count;
    }
    if (!output.flush()) Fail(ErrorCode::kIo, folder_.string(), ": cannot be written");
  }
  ~RandomFile() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  RandomFile(const RandomFile&) = delete;
  RandomFile& operator=(const RandomFile&) = delete;

  std::string folder() const { return folder_.string(); }

 private:
  std::filesystem::path folder_;
};

// Sequences that each have all blocks of their own.
StepBatch BatchOf(int64_t sequences, int32_t begin, int32_t end) {
  const std::vector<int32_t> tokens(static_cast<size_t>(end), 7);
  const int32_t each = (end + kBlockSize - 1) / kBlockSize;
  StepBatch batch;
  for (int64_t s = 0; s < sequences; ++s) {
    std::vector<int32_t> blocks(static_cast<size_t>(each));
    std::iota(blocks.begin(), blocks.end(), static_cast<int32_t>(s) * each);
    Append({.tokens = tokens, .begin = begin, .end = end, .blocks = blocks, .scored = false},
           &batch);
  }
  return batch;
}

// What a step reads and multiplies at least.
struct Work {
  double bytes = 0;
  double flops = 0;

  void Multiply(const MatrixSpec& matrix, double rows) {
    bytes += static_cast<double>(matrix.bytes());
    flops += 2 * static_cast<double>(matrix.rows() * matrix.cols()) * rows;
  }
};

Work WorkOf(const ModelSpec& spec, const std::vector<std::vector<uint32_t>>& expert_rows,
            int64_t sequences, int32_t begin, int32_t end) {
  const auto rows = static_cast<double>(sequences * (end - begin));
  // Keys that rows see, and those that sequences have.
  const double seen = rows * (static_cast<double>(begin) + 1 + end) / 2;
  const double kept = static_cast<double>(sequences * end);
  Work work;
  for (size_t layer = 0; layer < spec.layers.size(); ++layer) {
    if (const auto* gqa = spec.layers[layer].Find<GqaSpec>()) {
      for (const LinearSpec* linear : {&gqa->q, &gqa->k, &gqa->v, &gqa->o})
        work.Multiply(linear->weight, rows);
      work.bytes += kept * 2 * 2 * gqa->heads.kv_heads * gqa->heads.head_dim;
      work.flops += seen * 4 * gqa->heads.heads * gqa->heads.head_dim;
    }
    const auto* const moe = spec.layers[layer].Find<MoeSpec>();
    if (moe == nullptr) continue;
    const FfnSpec expert = moe->experts.Expert(0);
    for (const uint32_t routed : expert_rows[layer]) {
      if (routed == 0) continue;
      for (const LinearSpec* linear : {&*expert.gate, &expert.up, &expert.down})
        work.Multiply(linear->weight, routed);
    }
  }
  work.Multiply(spec.head.weight, static_cast<double>(sequences));
  return work;
}

double Seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

// The median of some steps, after two that make room and record.
Timing TimeStep(WholeModel& model, const std::string& name, int64_t sequences, int32_t begin,
                int32_t end) {
  std::vector<double> times;
  Work work;
  for (int run = -2; run < kRuns; ++run) {
    StepBatch batch = BatchOf(sequences, begin, end);
    model.stage().TakeExpertRows();
    const Clock::time_point started = Clock::now();
    model.Run(std::move(batch));
    if (run >= 0) times.push_back(Seconds(Clock::now() - started));
    work = WorkOf(model.spec(), model.stage().TakeExpertRows(), sequences, begin, end);
  }
  std::nth_element(times.begin(), times.begin() + kRuns / 2, times.end());
  return {name, sequences * (end - begin), work.bytes, work.flops, times[kRuns / 2]};
}

}  // namespace

std::vector<Timing> TimeSteps(const std::shared_ptr<Backend>& backend, const ModelSpec& spec,
                              const StepSizes& sizes, Clock::time_point deadline) {
  const RandomFile file(spec.files.at(0));
  const int64_t most = *std::max_element(sizes.sequences.begin(), sizes.sequences.end());
  const int64_t each = (sizes.context + kBlockSize) / kBlockSize;
  const int64_t prompt = (sizes.prompt + kBlockSize - 1) / kBlockSize;
  const CacheOptions cache{.kv_blocks = std::max(most * each, prompt), .block_size = kBlockSize};
  WholeModel model(backend, file.folder(), spec, WeightsFormat::kBF16, cache);
  std::vector<Timing> timings;
  const auto time = [&](const std::string& name, int64_t sequences, int32_t begin, int32_t end) {
    if (Clock::now() < deadline) timings.push_back(TimeStep(model, name, sequences, begin, end));
  };
  for (const int64_t sequences : sizes.sequences)
    time("decode", sequences, sizes.context, sizes.context + 1);
  time("prefill", 1, 0, sizes.prompt);
  return timings;
}

}  // namespace conclave::device_check
