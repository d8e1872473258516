#pragma once

// A small random model in a checkpoint file of its own, and what it computes by a plain reading of
// model.proto in f64.

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "conclave/model/spec.h"
#include "conclave/weights/weight_store.h"

namespace conclave {

struct TestModelShape {
  int layers = 2;
  int running_sums = 0;  // leading layers that have these instead of attention
  int hidden = 32;
  int heads = 4;
  int kv_heads = 2;
  int head_dim = 8;
  int vocab = 48;
  int experts = 4;  // 0: dense layers
  int top_k = 2;
  int width = 64;  // of an expert, the shared expert and a dense network
  bool shared_expert = false;
  bool biases = false;  // of q, k, v and o
  QkNorm qk_norm = QkNorm::kNone;
  int sliding_window = 0;
  SourceType type = SourceType::kBF16;
  int misalign = 0;  // bytes before the first tensor
};

class TestModel {
 public:
  explicit TestModel(const TestModelShape& shape, uint32_t seed = 1);
  ~TestModel();
  TestModel(const TestModel&) = delete;
  TestModel& operator=(const TestModel&) = delete;

  const ModelSpec& spec() const { return spec_; }
  const std::string& directory() const { return directory_; }
  std::string path() const { return directory_ + "/" + spec_.files[0].path; }
  std::shared_ptr<const WeightStore> Open(WeightsFormat format = WeightsFormat::kF32) const;

  // Elements of a tensor, row-major.
  const std::vector<double>& Values(const TensorRef& tensor) const {
    return values_.at(tensor.name);
  }
  // Overwrites one element in the file with an infinity.
  void Poison(const TensorRef& tensor, int64_t element) const;

  // Logits after each token, [tokens][vocab].
  std::vector<std::vector<double>> Logits(const std::vector<int32_t>& tokens) const;
  // An expert's output for one row.
  std::vector<double> Ffn(const FfnSpec& ffn, const std::vector<double>& x) const;

 private:
  TensorRef Add(const std::string& name, std::vector<int64_t> shape, double scale, double mean = 0);
  LinearSpec AddLinear(const std::string& name, int64_t out, int64_t in, bool bias);
  FfnSpec AddFfn(const std::string& name);
  NormSpec AddNorm(const std::string& name, int64_t width);
  void AddLayer(int index);
  OperatorSpec AddAttention(const std::string& name);
  OperatorSpec AddRunningSum(const std::string& name);

  std::vector<double> Linear(const LinearSpec& linear, const std::vector<double>& x) const;
  std::vector<double> Norm(const NormSpec& norm, const std::vector<double>& x) const;
  std::vector<std::vector<double>> Attention(const GqaSpec& gqa,
                                             const std::vector<std::vector<double>>& x) const;
  std::vector<std::vector<double>> RunningSums(const RunningSumSpec& spec,
                                               const std::vector<std::vector<double>>& x) const;
  std::vector<double> Routed(const MoeSpec& moe, const std::vector<double>& x) const;
  std::vector<double> Dense(const DenseSpec& dense, const std::vector<double>& x) const;
  // What a block adds to the residual stream.
  std::vector<std::vector<double>> Block(const BlockSpec& block,
                                         const std::vector<std::vector<double>>& x) const;
  void Rotate(const Rope& rope, int position, double* head) const;

  TestModelShape shape_;
  ModelSpec spec_;
  std::string directory_;
  std::vector<uint8_t> bytes_;
  std::map<std::string, std::vector<double>> values_;
  std::mt19937 random_;
};

}  // namespace conclave
