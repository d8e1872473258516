#include "cuda/device-check/workload.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "conclave/base/matrix_source.h"

namespace conclave::device_check {
namespace {

constexpr int kBlockSize = 16;
constexpr WeightsFormat kFormat = WeightsFormat::kBF16;

// Small numbers of either sign, the same for the same seed: a bf16's bits between 1/64 and 1/32.
class RandomSource final : public MatrixSource {
 public:
  RandomSource(int64_t rows, int64_t cols, uint32_t seed)
      : rows_(rows), cols_(cols), state_(seed) {}

  SourceType type() const override { return SourceType::kBF16; }
  int64_t rows() const override { return rows_; }
  int64_t cols() const override { return cols_; }
  void Raw(int64_t row, void* output) override { Bf16(row, static_cast<uint16_t*>(output)); }
  void Floats(int64_t /*row*/, float* output) override {
    for (int64_t i = 0; i < cols_; ++i)
      output[i] = std::bit_cast<float>(static_cast<uint32_t>(Next()) << 16);
  }
  void Bf16(int64_t /*row*/, uint16_t* output) override {
    for (int64_t i = 0; i < cols_; ++i) output[i] = Next();
  }

 private:
  uint16_t Next() {
    state_ = state_ * 1664525u + 1013904223u;
    return static_cast<uint16_t>((state_ >> 16 & 0x807F) | 0x3C80);
  }

  int64_t rows_;
  int64_t cols_;
  uint32_t state_;
};

// Sequences of one row each, behind `context` positions; or one sequence of all rows.
struct Places {
  std::vector<int32_t> positions, sequence_offsets, block_tables, block_offsets;
  double keys = 0;  // that all rows read

  Places(int64_t rows, int context, bool decode) {
    const int64_t sequences = decode ? rows : 1;
    const int64_t length = decode ? context + 1 : rows;
    const int64_t blocks = (length + kBlockSize - 1) / kBlockSize;
    for (int64_t row = 0; row < rows; ++row)
      positions.push_back(static_cast<int32_t>(decode ? context : row));
    for (int64_t i = 0; i <= sequences; ++i) {
      sequence_offsets.push_back(static_cast<int32_t>(decode ? i : i * rows));
      block_offsets.push_back(static_cast<int32_t>(i * blocks));
    }
    block_tables.resize(static_cast<size_t>(sequences * blocks));
    std::iota(block_tables.begin(), block_tables.end(), 0);
    keys = decode ? double(rows) * double(length) : double(rows) * double(rows + 1) / 2;
  }
  SequenceRows where() const { return {positions, sequence_offsets, block_tables, block_offsets}; }
};

}  // namespace

ModelShape RealShape() {
  return {
      "Qwen3-30B-A3B, bf16, one layer and the head", 2048, 32, 4, 128, 128, 8, 768, 151'936, 2047};
}

ModelShape SmallShape() { return {"a small model", 64, 4, 2, 16, 8, 2, 32, 128, 31}; }

// Makes weights and activations, and the operations upon them.
class Workload::Builder {
 public:
  Builder(Workload& workload, const ModelShape& shape, int64_t most_rows)
      : w_(workload), backend_(workload.backend_), shape_(shape), most_(most_rows) {}

  void Build() {
    input_ = Random(shape_.hidden);
    normed_ = w_.arena_.Rows(most_, shape_.hidden);
    grid_ = w_.arena_.Take<int32_t>(most_, 1);
    AddNorm();
    AddLinear("qkv", shape_.heads * shape_.head_dim + 2 * shape_.kv_heads * shape_.head_dim, input_,
              most_);
    AddAttention();
    AddLinear("o", shape_.hidden, Random(shape_.heads * shape_.head_dim), most_);
    AddGate();
    AddExperts();
    AddLinear("head", shape_.vocabulary, input_, std::min<int64_t>(most_, 256));
  }

 private:
  static double Floats(double count) { return 4 * count; }

  Tensor Random(int64_t width) {
    const Tensor tensor = w_.arena_.Rows(most_, width);
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    uint32_t state = 9;
    for (float& value : values) {
      state = state * 1664525u + 1013904223u;
      value = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
    }
    backend_.Upload(
        ActivationType::kF32,
        {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)}, tensor);
    return tensor;
  }

  template <typename Object>
  Object Keep(Object object) {
    w_.kept_.push_back(object);
    return object;
  }

  MatrixPtr Weights(int64_t rows, int64_t cols) {
    RandomSource source(rows, cols, ++seed_);
    return Keep(backend_.Pack(source, kFormat));
  }

  void Add(Operation operation) { w_.operations_.push_back(std::move(operation)); }

  void AddNorm() {
    const VectorPtr weight =
        Keep(backend_.Store(std::vector<float>(static_cast<size_t>(shape_.hidden), 1.0f)));
    const auto run = [this_backend = &backend_, x = input_, y = normed_, grid = grid_,
                      weight](int64_t rows) {
      const GridOutput exponents{grid.Slice(0, rows), GridBits(kFormat)};
      this_backend->RmsNorm(x.Slice(0, rows), *weight, 1e-6f, y.Slice(0, rows), &exponents);
    };
    const double width = double(shape_.hidden);
    Add({"norm", most_, [=](int64_t rows) { return Floats(2 * double(rows) * width); },
         [](int64_t) { return 0.0; }, run, normed_});
  }

  void AddLinear(const std::string& name, int64_t out, const Tensor& x, int64_t most_rows) {
    const MatrixPtr weight = Weights(out, x.width);
    const Tensor y = w_.arena_.Rows(most_rows, out);
    const auto run = [backend = &backend_, weight, x, y](int64_t rows) {
      const LinearOutput output{weight.get(), nullptr, y.Slice(0, rows)};
      backend->Linear(x.Slice(0, rows), {&output, 1});
    };
    const double in = double(x.width);
    const double columns = double(out);
    Add({name, most_rows,
         [=](int64_t rows) {
           return double(weight->bytes()) + Floats(double(rows) * (in + columns));
         },
         [=](int64_t rows) { return 2 * double(rows) * in * columns; }, run, y});
  }

  // Up to 256 rows decode, each after a context of its own; more are one prompt.
  void AddAttention() {
    const int64_t longest =
        std::max<int64_t>(most_, std::min<int64_t>(most_, 256) * (shape_.context + 1 + kBlockSize));
    const KvCacheShape cache_shape{longest / kBlockSize + 1, kBlockSize, shape_.kv_heads,
                                   shape_.head_dim};
    const std::shared_ptr<PagedCache> cache = backend_.CreateCache(cache_shape, KvType::kBF16);
    Keep(cache);
    const Tensor q = Random(shape_.heads * shape_.head_dim);
    const Tensor k = Random(shape_.kv_heads * shape_.head_dim);
    const Tensor v = Random(shape_.kv_heads * shape_.head_dim);
    const Tensor y = w_.arena_.Rows(most_, q.width);
    AttentionParams params;
    params.heads = shape_.heads;
    params.kv_heads = shape_.kv_heads;
    params.head_dim = shape_.head_dim;
    params.scale = 1 / std::sqrt(static_cast<float>(shape_.head_dim));
    const int context = shape_.context;
    const auto places = [context](int64_t rows) { return Places(rows, context, rows <= 256); };
    const auto run = [backend = &backend_, cache, q, k, v, y, params, places](int64_t rows) {
      const Places placed = places(rows);
      const std::unique_ptr<StepRows> where = backend->Place(placed.where());
      backend->Attend(params, *where, q.Slice(0, rows), k.Slice(0, rows), v.Slice(0, rows), nullptr,
                      *cache, y.Slice(0, rows));
      backend->Synchronise();
    };
    const double key_bytes = 2.0 * 2 * shape_.kv_heads * shape_.head_dim;
    const double flops = 4.0 * shape_.heads * shape_.head_dim;
    // A prompt's keys are read once at least.
    Add({"attention",
         most_,
         [=](int64_t rows) {
           const double keys = rows <= 256 ? places(rows).keys : double(rows);
           return keys * key_bytes + Floats(2 * double(rows) * double(q.width));
         },
         [=](int64_t rows) { return places(rows).keys * flops; },
         run,
         {}});
  }

  void AddGate() {
    const MatrixPtr weight = Weights(shape_.experts, shape_.hidden);
    const auto ids = w_.arena_.Take<int32_t>(most_, shape_.top_k);
    const Tensor weights = w_.arena_.Rows(most_, shape_.top_k);
    GateParams params;
    params.top_k = shape_.top_k;
    params.renormalise = true;
    const auto run = [backend = &backend_, weight, ids, weights, params, x = input_](int64_t rows) {
      backend->Gate(x.Slice(0, rows), *weight, params,
                    {ids.Slice(0, rows), weights.Slice(0, rows)});
    };
    const double in = double(shape_.hidden);
    const double experts = shape_.experts;
    Add({"gate", most_,
         [=](int64_t rows) { return double(weight->bytes()) + Floats(double(rows) * in); },
         [=](int64_t rows) { return 2 * double(rows) * in * experts; }, run, weights});
  }

  // Row r goes to top_k neighbours from r * 37 on: every expert is hit before any is hit twice as
  // often.
  void AddExperts() {
    std::vector<FfnPtr> experts;
    for (int i = 0; i < shape_.experts; ++i) {
      RandomSource gate(shape_.width, shape_.hidden, ++seed_);
      RandomSource up(shape_.width, shape_.hidden, ++seed_);
      RandomSource down(shape_.hidden, shape_.width, ++seed_);
      experts.push_back(Keep(backend_.PackFfn({.gate = gate, .up = up, .down = down}, kFormat)));
    }
    const Totals totals = w_.arena_.Take<double>(most_, shape_.hidden);
    const auto route = [count = shape_.experts, top_k = shape_.top_k](int64_t rows) {
      std::vector<ExpertEntry> entries;
      for (int64_t row = 0; row < rows; ++row) {
        for (int j = 0; j < top_k; ++j)
          entries.push_back({static_cast<int32_t>((row * 37 + j) % count),
                             static_cast<int32_t>(row), 1.0f / static_cast<float>(top_k)});
      }
      std::stable_sort(entries.begin(), entries.end(),
                       [](const auto& a, const auto& b) { return a.slot < b.slot; });
      return entries;
    };
    const auto run = [backend = &backend_, experts, totals, route, x = normed_,
                      grid = grid_](int64_t rows) {
      const std::vector<ExpertEntry> entries = route(rows);
      std::vector<ExpertGroup> groups;
      for (size_t i = 0; i < entries.size(); ++i) {
        if (i == 0 || entries[i].slot != entries[i - 1].slot)
          groups.push_back(
              {experts[static_cast<size_t>(entries[i].slot)].get(), static_cast<int64_t>(i), 0});
        groups.back().end = static_cast<int64_t>(i) + 1;
      }
      backend->Experts(groups, entries, ExpertWeights::kOnOutput, x.Slice(0, rows),
                       grid.Slice(0, rows), totals.Slice(0, rows));
    };
    const double hidden = double(shape_.hidden);
    const double pairs = shape_.top_k;
    const double ffn_flops = 6 * hidden * double(shape_.width);
    Add({"experts",
         most_,
         [=](int64_t rows) {
           const std::vector<ExpertEntry> entries = route(rows);
           double bytes = 12 * double(rows) * hidden;  // x, and totals in f64
           for (size_t i = 0; i < entries.size(); ++i) {
             if (i == 0 || entries[i].slot != entries[i - 1].slot)
               bytes += double(experts[static_cast<size_t>(entries[i].slot)]->bytes());
           }
           return bytes;
         },
         [=](int64_t rows) { return double(rows) * pairs * ffn_flops; },
         run,
         {}});
  }

  Workload& w_;
  Backend& backend_;
  const ModelShape& shape_;
  int64_t most_;
  uint32_t seed_ = 1;
  Tensor input_;
  Tensor normed_;
  Grid grid_;
};

Workload::Workload(Backend& backend, const ModelShape& shape, int64_t most_rows)
    : backend_(backend), arena_(backend) {
  Builder(*this, shape, most_rows).Build();
}

Workload::~Workload() { backend_.Synchronise(); }

}  // namespace conclave::device_check
