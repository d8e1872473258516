#pragma once

// What a backend makes of a model's weights: its own layouts in its own memory. Immutable, shared,
// and freed with the last owner on any thread.

#include <cstddef>
#include <cstdint>
#include <memory>

namespace conclave {

// W [rows, cols] of y = x W^T.
class Matrix {
 public:
  virtual ~Matrix() = default;
  virtual int64_t rows() const = 0;
  virtual int64_t cols() const = 0;
  // Bytes read to multiply by the whole matrix once.
  virtual size_t bytes() const = 0;
};

// f32: a bias, or the weight of a norm.
class Vector {
 public:
  virtual ~Vector() = default;
  virtual int64_t size() const = 0;
  size_t bytes() const { return static_cast<size_t>(size()) * sizeof(float); }
};

// A feed-forward network: gate, up [I, H]; down [H, I]; biases where it has them.
class Ffn {
 public:
  virtual ~Ffn() = default;
  virtual size_t bytes() const = 0;
};

// Rows that are looked up by token: [vocabulary, H].
class Embedding {
 public:
  virtual ~Embedding() = default;
  virtual size_t bytes() const = 0;
};

using MatrixPtr = std::shared_ptr<const Matrix>;
using VectorPtr = std::shared_ptr<const Vector>;
using FfnPtr = std::shared_ptr<const Ffn>;
using EmbeddingPtr = std::shared_ptr<const Embedding>;

}  // namespace conclave
