#include "cuda/device-check/workload/materials.h"

#include <bit>

#include "conclave/base/matrix_source.h"

namespace conclave::device_check {
namespace {

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

}  // namespace

Materials::Materials(Backend& device, const ModelShape& model, int64_t most)
    : backend(device), shape(model), most_rows(most), arena(device) {
  input = Activations(shape.hidden);
  normed = arena.Rows(most_rows, shape.hidden);
  grid = arena.Take<int32_t>(most_rows, 1);
}

Tensor Materials::Activations(int64_t width) {
  const Tensor tensor = arena.Rows(most_rows, width);
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  uint32_t state = 9;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
  backend.Upload(ActivationType::kF32,
                 {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)},
                 tensor);
  return tensor;
}

MatrixPtr Materials::Weights(int64_t rows, int64_t cols) {
  RandomSource source(rows, cols, ++seed_);
  return backend.Pack(source, kFormat);
}

FfnPtr Materials::Expert() {
  RandomSource gate(shape.width, shape.hidden, ++seed_);
  RandomSource up(shape.width, shape.hidden, ++seed_);
  RandomSource down(shape.hidden, shape.width, ++seed_);
  return backend.PackFfn({.gate = &gate, .up = up, .down = down}, kFormat);
}

}  // namespace conclave::device_check
