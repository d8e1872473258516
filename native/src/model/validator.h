#pragma once

// What ValidateSpec checks, by part of the specification. `path` is the field, for errors.

#include <cstdint>
#include <string>
#include <vector>

#include "conclave/model/spec.h"

namespace conclave {

void CheckPositive(const std::string& path, float value);
void CheckFinite(const std::string& path, float value);
void CheckFromZero(const std::string& path, float value);

// Tensors: that they lie in their file and have the shape that their role needs.
class TensorValidator {
 public:
  explicit TensorValidator(const ModelSpec& spec) : spec_(spec) {}

  void Tensor(const std::string& path, const TensorRef& tensor, const std::vector<int64_t>& shape);
  void Matrix(const std::string& path, const MatrixSpec& matrix, int64_t rows, int64_t cols);
  void Linear(const std::string& path, const LinearSpec& linear, int64_t out, int64_t in);
  void Norm(const std::string& path, const NormSpec& norm, int64_t width);
  // Of numbers, not of floats.
  void Ids(const std::string& path, const TensorRef& tensor, const std::vector<int64_t>& shape);

 protected:
  const ModelSpec& spec_;

 private:
  void Bias(const std::string& path, const LinearSpec& linear, int64_t length);
  void Extent(const std::string& path, const TensorRef& tensor, const std::vector<int64_t>& shape);
  void Region(const std::string& path, const MatrixSpec& matrix, int64_t rows, int64_t cols,
              const std::vector<int64_t>& stored);
  void Codes(const std::string& path, const MatrixSpec& matrix);
};

// Operators: their parameters, tensors and caches.
class OperatorValidator : public TensorValidator {
 public:
  using TensorValidator::TensorValidator;

  // Operators of each kind that a layer has had so far: those that keep something of sequences are
  // one kind.
  struct Kinds {
    int mixers = 0;
    int dense = 0;
    int moe = 0;
    int token_inputs = 0;
  };

  void CheckOperator(const std::string& path, const OperatorSpec& op, Kinds& seen);

 private:
  void CheckIndexer(const std::string& path, const IndexerSpec& spec, int64_t query_width);
  void CheckShortConvolution(const std::string& path, const ShortConvolutionSpec& spec);
  void CheckSelectiveScan(const std::string& path, const SelectiveScanSpec& spec);
  void CheckRunningSum(const std::string& path, const RunningSumSpec& spec);
  void CheckMla(const std::string& path, const MlaSpec& spec);
  void CheckLinearAttention(const std::string& path, const LinearAttentionSpec& spec);
  void CheckCompressedAttention(const std::string& path, const CompressedAttentionSpec& spec);
  void CheckCompressor(const std::string& path, const CompressorSpec& spec, int span,
                       int64_t width);
  void CheckConvolution(const std::string& path, const ConvolutionSpec& spec, int64_t width);
  void CheckGqa(const std::string& path, const GqaSpec& spec);
  void CheckGqaKeys(const std::string& path, const GqaSpec& spec);
  void CheckTokenInput(const std::string& path, const TokenInputSpec& spec);
  void CheckRopeOf(const std::string& path, int rope, int head_dim);
  // `outer`: elements that it reads and gives.
  void CheckFfn(const std::string& path, const FfnSpec& ffn, int64_t outer);
  void CheckMoe(const std::string& path, const MoeSpec& moe);
  void CheckPlaces(const std::string& path, const ExpertTable& experts);
  void CheckGate(const std::string& path, const GateSpec& gate, int experts);
};

// What linear attention keeps: the last rows of its three convolutions, and its heads' states.
FixedCacheSpec CacheOf(const LinearAttentionSpec& spec);
// The last rows of its convolution.
FixedCacheSpec CacheOf(const ShortConvolutionSpec& spec);
// The same, and its columns' states.
FixedCacheSpec CacheOf(const SelectiveScanSpec& spec);

// A key of each position, and of each span an entry and its index key, and what the folds keep.
CompressedCacheSpec CacheOf(const CompressedAttentionSpec& spec);

std::string ShapeText(const std::vector<int64_t>& shape);

}  // namespace conclave
