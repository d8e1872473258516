#include "model/test_model.h"

#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "conclave/base/activation.h"

namespace conclave {
namespace {

using Row = std::vector<double>;

// Values are multiples of 2^-8 below 1, so that f32, bf16 and f16 all hold them exactly.
void AppendElement(SourceType type, float value, std::vector<uint8_t>* bytes) {
  uint8_t encoded[4];
  size_t size = 2;
  if (type == SourceType::kF32) {
    size = 4;
    std::memcpy(encoded, &value, 4);
  } else if (type == SourceType::kBF16) {
    const uint16_t bits = FloatToBf16(value);
    std::memcpy(encoded, &bits, 2);
  } else {
    const auto wide = std::bit_cast<uint32_t>(value);
    const uint32_t exponent = (wide >> 23) & 0xFF;
    const uint32_t magnitude = value == 0 ? 0 : ((exponent - 112) << 10) | ((wide >> 13) & 0x3FF);
    const auto bits = static_cast<uint16_t>(((wide >> 16) & 0x8000) | magnitude);
    std::memcpy(encoded, &bits, 2);
  }
  bytes->insert(bytes->end(), encoded, encoded + size);
}

Row Sum(const Row& a, const Row& b, double weight) {
  Row sum = a;
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += weight * b[i];
  return sum;
}

// The table of experts whose names are `prefix` and their id.
ExpertTable TableOf(const std::vector<FfnSpec>& experts, const std::string& prefix) {
  ExpertTable table;
  table.count = static_cast<int>(experts.size());
  table.expert = experts[0];
  for (FfnSpec expert : experts) {
    const std::vector<TensorRef*> tensors = TensorsOf(expert);
    table.places.resize(tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      table.places[i].files.push_back(tensors[i]->file);
      table.places[i].offsets.push_back(tensors[i]->offset);
      table.places[i].types.push_back(tensors[i]->type);
    }
  }
  for (TensorRef* tensor : TensorsOf(table.expert))
    tensor->name = prefix + "{}" + tensor->name.substr(prefix.size() + 1);
  return table;
}

}  // namespace

TestModel::TestModel(const TestModelShape& shape, uint32_t seed) : shape_(shape), random_(seed) {
  std::string folder = (std::filesystem::temp_directory_path() / "conclave-test-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("mkdtemp " + folder);
  directory_ = folder;
  bytes_.assign(static_cast<size_t>(shape.misalign), 0);
  spec_.name = "test";
  spec_.hidden_size = shape.hidden;
  spec_.vocab_size = shape.vocab;
  spec_.embedding = {Add("embedding", {shape.vocab, shape.hidden}, 1)};
  Rope rope;
  rope.rotary_dim = shape.head_dim;
  for (int i = 0; i < shape.head_dim / 2; ++i) {
    rope.inverse_frequencies.push_back(
        static_cast<float>(std::pow(100.0, -2.0 * i / shape.head_dim)));
  }
  spec_.ropes.push_back(rope);
  for (int i = 0; i < shape.layers; ++i) AddLayer(i);
  spec_.final_norm = AddNorm("final_norm", shape.hidden);
  spec_.head = AddLinear("head", shape.vocab, shape.hidden, false);
  spec_.files.push_back({"weights.bin", bytes_.size()});
  std::ofstream file(path(), std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes_.data()),
             static_cast<std::streamsize>(bytes_.size()));
  if (!file.flush()) throw std::runtime_error("write " + path());
}

TestModel::~TestModel() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::shared_ptr<const WeightStore> TestModel::Open(WeightsFormat format) const {
  return std::make_shared<const WeightStore>(directory_, spec_, format);
}

void TestModel::Poison(const TensorRef& tensor, int64_t element) const {
  std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
  const int64_t size = tensor.type == SourceType::kF32 ? 4 : 2;
  const uint32_t infinity = tensor.type == SourceType::kF32    ? 0x7F800000
                            : tensor.type == SourceType::kBF16 ? 0x7F80
                                                               : 0x7C00;
  file.seekp(static_cast<std::streamoff>(tensor.offset) + element * size);
  file.write(reinterpret_cast<const char*>(&infinity), size);
}

TensorRef TestModel::Add(const std::string& name, std::vector<int64_t> shape, double scale,
                         double mean) {
  TensorRef tensor{name, 0, bytes_.size(), shape_.type, std::move(shape)};
  std::normal_distribution<double> normal(mean, scale);
  Row values;
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    const double value = std::clamp(std::round(normal(random_) * 64), -127.0, 127.0) / 64;
    values.push_back(value);
    AppendElement(shape_.type, static_cast<float>(value), &bytes_);
  }
  values_.emplace(name, std::move(values));
  return tensor;
}

LinearSpec TestModel::AddLinear(const std::string& name, int64_t out, int64_t in, bool bias) {
  LinearSpec linear;
  linear.weight = {Add(name + ".weight", {out, in}, 1 / std::sqrt(static_cast<double>(in)))};
  if (bias) linear.bias = Add(name + ".bias", {out}, 0.5);
  return linear;
}

NormSpec TestModel::AddNorm(const std::string& name, int64_t width) {
  NormSpec norm;
  norm.weight = Add(name, {width}, 0.1, 1);
  norm.epsilon = 1e-5f;
  return norm;
}

FfnSpec TestModel::AddFfn(const std::string& name) {
  return {AddLinear(name + ".gate", shape_.width, shape_.hidden, false),
          AddLinear(name + ".up", shape_.width, shape_.hidden, false),
          AddLinear(name + ".down", shape_.hidden, shape_.width, false),
          {}};
}

OperatorSpec TestModel::AddAttention(const std::string& name) {
  GqaSpec a;
  a.heads = {.heads = shape_.heads,
             .kv_heads = shape_.kv_heads,
             .head_dim = shape_.head_dim,
             .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape_.head_dim))),
             .sliding_window = shape_.sliding_window};
  a.rope = 0;
  a.q = AddLinear(name + ".q", shape_.heads * shape_.head_dim, shape_.hidden, shape_.biases);
  a.k = AddLinear(name + ".k", shape_.kv_heads * shape_.head_dim, shape_.hidden, shape_.biases);
  a.v = AddLinear(name + ".v", shape_.kv_heads * shape_.head_dim, shape_.hidden, shape_.biases);
  a.o = AddLinear(name + ".o", shape_.hidden, shape_.heads * shape_.head_dim, shape_.biases);
  a.qk_norm = shape_.qk_norm;
  if (shape_.qk_norm != QkNorm::kNone) {
    const bool per_head = shape_.qk_norm == QkNorm::kPerHead;
    a.q_norm =
        AddNorm(name + ".q_norm", per_head ? shape_.head_dim : shape_.heads * shape_.head_dim);
    a.k_norm =
        AddNorm(name + ".k_norm", per_head ? shape_.head_dim : shape_.kv_heads * shape_.head_dim);
  }
  return {std::move(a), PagedCacheSpec{shape_.kv_heads, shape_.head_dim, shape_.head_dim}};
}

OperatorSpec TestModel::AddRunningSum(const std::string& name) {
  RunningSumSpec sum;
  sum.heads = shape_.heads;
  sum.head_dim = shape_.head_dim;
  const int width = shape_.heads * shape_.head_dim;
  sum.value = AddLinear(name + ".value", width, shape_.hidden, shape_.biases);
  sum.output = AddLinear(name + ".output", shape_.hidden, width, shape_.biases);
  return {std::move(sum), FixedCacheSpec{{{shape_.heads, shape_.head_dim}}}};
}

void TestModel::AddLayer(int index) {
  const std::string name = "layers." + std::to_string(index);
  LayerSpec layer;
  const auto add_block = [&](const std::string& kind) -> BlockSpec& {
    BlockSpec& block = layer.blocks.emplace_back();
    block.pre_norm = AddNorm(name + "." + kind + "_norm", shape_.hidden);
    return block;
  };
  add_block("attention")
      .operators.push_back(index < shape_.running_sums ? AddRunningSum(name) : AddAttention(name));
  BlockSpec& ffn = add_block("ffn");
  if (shape_.experts == 0) {
    ffn.operators.push_back({DenseSpec{AddFfn(name + ".dense"), {}}, {}});
  } else {
    MoeSpec moe;
    moe.gate.linear.weight = {Add(name + ".gate", {shape_.experts, shape_.hidden}, 0.5)};
    moe.gate.top_k = shape_.top_k;
    moe.gate.scoring = GateScoring::kSoftmaxTopK;
    std::vector<FfnSpec> experts;
    for (int e = 0; e < shape_.experts; ++e)
      experts.push_back(AddFfn(name + ".experts." + std::to_string(e)));
    moe.experts = TableOf(experts, name + ".experts.");
    ffn.operators.push_back({std::move(moe), {}});
    if (shape_.shared_expert) {
      DenseSpec shared{AddFfn(name + ".shared"), {}};
      shared.output_gate = {Add(name + ".shared_gate", {1, shape_.hidden}, 0.5)};
      ffn.operators.push_back({std::move(shared), {}});
    }
  }
  spec_.layers.push_back(std::move(layer));
}

std::vector<double> TestModel::Linear(const LinearSpec& linear, const Row& x) const {
  const Row& w = Values(linear.weight.data);
  Row y(static_cast<size_t>(linear.out()), 0.0);
  for (size_t o = 0; o < y.size(); ++o) {
    for (size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
  }
  return linear.bias ? Sum(y, Values(*linear.bias), 1) : y;
}

std::vector<double> TestModel::Norm(const NormSpec& norm, const Row& x) const {
  const Row& weight = Values(*norm.weight);
  Row y = x;
  for (size_t begin = 0; begin < x.size(); begin += weight.size()) {
    double square = 0;
    for (size_t i = 0; i < weight.size(); ++i) square += x[begin + i] * x[begin + i];
    const double scale = 1 / std::sqrt(square / static_cast<double>(weight.size()) + norm.epsilon);
    for (size_t i = 0; i < weight.size(); ++i) y[begin + i] = x[begin + i] * scale * weight[i];
  }
  return y;
}

void TestModel::Rotate(const Rope& rope, int position, double* head) const {
  const int half = rope.rotary_dim / 2;
  for (int i = 0; i < half; ++i) {
    const double angle =
        position * static_cast<double>(rope.inverse_frequencies[static_cast<size_t>(i)]);
    const double a = head[i];
    const double b = head[i + half];
    head[i] = a * std::cos(angle) - b * std::sin(angle);
    head[i + half] = b * std::cos(angle) + a * std::sin(angle);
  }
}

std::vector<Row> TestModel::Attention(const GqaSpec& gqa, const std::vector<Row>& x) const {
  const AttentionParams& a = gqa.heads;
  const auto dim = static_cast<size_t>(a.head_dim);
  std::vector<Row> q, k, v;
  for (size_t t = 0; t < x.size(); ++t) {
    q.push_back(Linear(gqa.q, x[t]));
    k.push_back(Linear(gqa.k, x[t]));
    v.push_back(Linear(gqa.v, x[t]));
    if (gqa.q_norm) q[t] = Norm(*gqa.q_norm, q[t]);
    if (gqa.k_norm) k[t] = Norm(*gqa.k_norm, k[t]);
    for (int h = 0; h < a.heads; ++h)
      Rotate(spec_.ropes[0], static_cast<int>(t), &q[t][static_cast<size_t>(h) * dim]);
    for (int h = 0; h < a.kv_heads; ++h)
      Rotate(spec_.ropes[0], static_cast<int>(t), &k[t][static_cast<size_t>(h) * dim]);
  }
  std::vector<Row> output;
  for (size_t t = 0; t < x.size(); ++t) {
    Row joined(q[t].size(), 0.0);
    const size_t first = a.sliding_window > 0 && t + 1 > static_cast<size_t>(a.sliding_window)
                             ? t + 1 - static_cast<size_t>(a.sliding_window)
                             : 0;
    for (size_t h = 0; h < static_cast<size_t>(a.heads); ++h) {
      const size_t kv = h / static_cast<size_t>(a.heads / a.kv_heads);
      Row scores;
      double total = 0;
      for (size_t s = first; s <= t; ++s) {
        double dot = 0;
        for (size_t i = 0; i < dim; ++i) dot += q[t][h * dim + i] * k[s][kv * dim + i];
        scores.push_back(std::exp(dot * a.scale));
        total += scores.back();
      }
      for (size_t s = first; s <= t; ++s) {
        for (size_t i = 0; i < dim; ++i)
          joined[h * dim + i] += scores[s - first] / total * v[s][kv * dim + i];
      }
    }
    output.push_back(Linear(gqa.o, joined));
  }
  return output;
}

std::vector<Row> TestModel::RunningSums(const RunningSumSpec& spec,
                                        const std::vector<Row>& x) const {
  std::vector<Row> output;
  Row sum(static_cast<size_t>(spec.value.out()), 0.0);
  for (const Row& row : x) {
    sum = Sum(sum, Linear(spec.value, row), 1);
    output.push_back(Linear(spec.output, sum));
  }
  return output;
}

std::vector<double> TestModel::Ffn(const FfnSpec& ffn, const Row& x) const {
  Row gate = Linear(*ffn.gate, x);
  const Row up = Linear(ffn.up, x);
  for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
  return Linear(ffn.down, gate);
}

std::vector<double> TestModel::Routed(const MoeSpec& moe, const Row& x) const {
  const Row logits = Linear(moe.gate.linear, x);
  std::vector<size_t> order(logits.size());
  for (size_t e = 0; e < order.size(); ++e) order[e] = e;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  order.resize(static_cast<size_t>(moe.gate.top_k));
  double total = 0;
  for (const size_t e : order) total += std::exp(logits[e]);
  Row y(x.size(), 0.0);
  for (const size_t e : order)
    y = Sum(y, Ffn(moe.experts.Expert(static_cast<int>(e)), x), std::exp(logits[e]) / total);
  return y;
}

std::vector<double> TestModel::Dense(const DenseSpec& dense, const Row& x) const {
  const Row y = Ffn(dense.ffn, x);
  if (!dense.output_gate) return y;
  const double score = Linear({*dense.output_gate, {}}, x)[0];
  return Sum(Row(y.size(), 0.0), y, 1 / (1 + std::exp(-score)));
}

std::vector<Row> TestModel::Block(const BlockSpec& block, const std::vector<Row>& x) const {
  std::vector<Row> input, sum(x.size(), Row(x[0].size(), 0.0));
  for (const Row& row : x) input.push_back(Norm(*block.pre_norm, row));
  for (const OperatorSpec& op : block.operators) {
    std::vector<Row> output;
    if (const auto* gqa = std::get_if<GqaSpec>(&op.kind)) output = Attention(*gqa, input);
    if (const auto* sums = std::get_if<RunningSumSpec>(&op.kind))
      output = RunningSums(*sums, input);
    for (const Row& row : input) {
      if (const auto* dense = std::get_if<DenseSpec>(&op.kind))
        output.push_back(Dense(*dense, row));
      if (const auto* moe = std::get_if<MoeSpec>(&op.kind)) output.push_back(Routed(*moe, row));
    }
    for (size_t t = 0; t < x.size(); ++t) sum[t] = Sum(sum[t], output[t], 1);
  }
  return sum;
}

std::vector<Row> TestModel::Logits(const std::vector<int32_t>& tokens) const {
  const auto hidden = static_cast<std::ptrdiff_t>(spec_.hidden_size);
  std::vector<Row> x;
  for (const int32_t token : tokens) {
    const auto first = Values(spec_.embedding.data).begin() + token * hidden;
    x.emplace_back(first, first + hidden);
  }
  for (const LayerSpec& layer : spec_.layers) {
    for (const BlockSpec& block : layer.blocks) {
      const std::vector<Row> added = Block(block, x);
      for (size_t t = 0; t < x.size(); ++t) x[t] = Sum(x[t], added[t], 1);
    }
  }
  for (Row& row : x) row = Linear(spec_.head, Norm(spec_.final_norm, row));
  return x;
}

}  // namespace conclave
