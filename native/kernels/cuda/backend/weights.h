#pragma once

#include "conclave/backend/backend.h"
#include "kernels/cuda/backend/loading/weight_upload.h"

namespace conclave::cuda {

// How the elements of a matrix lie in device memory, a row of [rows, cols] after the other. The
// first three are multiplied in f32, the others by tensor cores: those of 8 and 4 bits are codes,
// with a scale for each group of 32 columns.
enum class Storage { kF32, kF16, kWideBf16, kBf16, kQ8, kQ4, kQ4Zeros, kQ4Float };

constexpr int kQuantisedGroup = 32;

constexpr bool IsExact(Storage storage) { return storage <= Storage::kWideBf16; }
constexpr bool IsQuantised(Storage storage) { return storage >= Storage::kQ8; }

// A matrix as kernels see it.
struct MatrixView {
  const void* data;  // [rows, stride] of the storage's elements; those from column `cols` on are 0
  const void* scales;  // [groups of 32 columns, scale_stride]: f32 of kQ8, f16 of 4 bits
  const void* zeros;   // the same, of kQ4Zeros: f16
  int rows;
  int cols;
  int stride;
  int scale_stride;
};

class CudaMatrix final : public Matrix {
 public:
  // Reads all rows.
  CudaMatrix(MatrixSource& source, WeightsFormat format, WeightLoading& loading);

  int64_t rows() const override { return view_.rows; }
  int64_t cols() const override { return view_.cols; }
  size_t bytes() const override { return memory_.bytes(); }
  Storage storage() const { return storage_; }
  const MatrixView& view() const { return view_; }

 private:
  Storage storage_;
  MatrixView view_{};
  WeightMemory memory_;
};

class CudaVector final : public Vector {
 public:
  CudaVector(const std::vector<float>& values, WeightLoading& loading);
  int64_t size() const override { return size_; }
  const float* data() const { return reinterpret_cast<const float*>(memory_.data()); }

 private:
  int64_t size_;
  WeightMemory memory_;
};

class CudaFfn final : public Ffn {
 public:
  CudaFfn(const FfnSource& source, WeightsFormat format, WeightLoading& loading)
      : own_gate(source.gate != nullptr
                     ? std::make_unique<const CudaMatrix>(*source.gate, format, loading)
                     : nullptr),
        up(source.up, format, loading),
        down(source.down, format, loading),
        gate_bias(source.gate_bias),
        up_bias(source.up_bias),
        down_bias(source.down_bias),
        activation(source.activation) {}
  size_t bytes() const override;

  // Where there is none, the activation reads up alone, whatever the gate gives.
  const CudaMatrix& gate() const { return own_gate ? *own_gate : up; }

  const std::unique_ptr<const CudaMatrix> own_gate;  // null: none; read before up
  const CudaMatrix up;
  const CudaMatrix down;
  const VectorPtr gate_bias;
  const VectorPtr up_bias;
  const VectorPtr down_bias;
  const ActivationParams activation;
};

// The rows of a table, in the element type of the checkpoint or in bf16.
class CudaEmbedding final : public Embedding {
 public:
  CudaEmbedding(MatrixSource& source, WeightsFormat format, WeightLoading& loading);
  size_t bytes() const override { return memory_.bytes(); }
  SourceType type() const { return type_; }
  const void* data() const { return memory_.data(); }

 private:
  SourceType type_;
  WeightMemory memory_;
};

inline const float* DevicePointer(const Vector& vector) {
  return static_cast<const CudaVector&>(vector).data();
}
inline const float* DevicePointer(const Vector* vector) {
  return vector != nullptr ? DevicePointer(*vector) : nullptr;
}

}  // namespace conclave::cuda
