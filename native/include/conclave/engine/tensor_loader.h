#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "conclave/backend/backend.h"
#include "conclave/model/spec.h"
#include "conclave/weights/load_monitor.h"
#include "conclave/weights/weight_store.h"

namespace conclave {

// Bytes of a linear layer's weight and bias in the checkpoint.
uint64_t SourceBytes(const LinearSpec& linear);
uint64_t SourceBytes(const FfnSpec& ffn);

// Throws kUnsupported unless the backend knows the format.
void RequireFormat(const Backend& backend, WeightsFormat format);

// The rectangles of gate, up and down that a range of the intermediate dimension is.
struct FfnParts {
  Rectangle gate_up;
  Rectangle down;

  FfnParts(const FfnSpec& ffn, Range width)
      : gate_up{width, {0, ffn.up.in()}}, down{{0, ffn.up.in()}, width} {}
};

// Packs part of a network: biases of gate and up with it, down's with the part that begins at 0.
// Where `crc` is not null, it continues a CRC-32 over the bytes of matrices that are read: gate, up
// and down, in that order.
FfnPtr PackFfn(Backend& backend, const WeightStore& store, const FfnSpec& ffn, Range width,
               uint32_t* crc = nullptr);

// Brings tensors to a backend for one owner, counting bytes.
class TensorLoader {
 public:
  TensorLoader(const WeightStore& store, Backend& backend, LoadMonitor& monitor);

  MatrixPtr Matrix(const MatrixSpec& matrix, const Rectangle& part);
  MatrixPtr Matrix(const MatrixSpec& matrix, const Rectangle& part, WeightsFormat format);
  // Some rows of a matrix that is brought piece by piece, or their transpose.
  MatrixPtr Rows(const MatrixSpec& matrix, Range rows);
  MatrixPtr TransposedRows(const MatrixSpec& matrix, Range rows);
  VectorPtr Vector(const TensorRef& tensor);
  VectorPtr Vector(const TensorRef& tensor, Range part);
  // Null for a tensor that is absent.
  VectorPtr Vector(const std::optional<TensorRef>& tensor, Range part);
  VectorPtr Bias(const LinearSpec& linear, Range part);
  // Elements that the owner computes with before they are stored: of a vector, or rows of a matrix.
  std::vector<float> Floats(const TensorRef& tensor, Range part);
  std::vector<float> Floats(const MatrixSpec& matrix, Range rows);
  // Numbers from 0 to `count` - 1. Throws kCorruptCheckpoint when one is not.
  std::vector<int32_t> Ids(const TensorRef& tensor, int64_t count);
  // Part of the weight of a norm, with its offset; ones where it has none.
  VectorPtr NormWeight(const NormSpec& norm, Range part);
  FfnPtr Ffn(const FfnSpec& ffn, Range width);
  EmbeddingPtr Embedding(const MatrixSpec& table);

  Backend& backend() { return backend_; }
  WeightsFormat format() const { return store_.format(); }

 private:
  const WeightStore& store_;
  Backend& backend_;
  LoadMonitor& monitor_;
};

inline uint64_t BytesOf(const VectorPtr& vector) { return vector ? vector->bytes() : 0; }

}  // namespace conclave
