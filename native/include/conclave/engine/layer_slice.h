#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "conclave/backend/sequence_rows.h"
#include "conclave/base/buffer.h"
#include "conclave/engine/compute.h"
#include "conclave/model/slicing.h"
#include "conclave/weights/load_monitor.h"
#include "conclave/weights/weight_store.h"
#include "kernels/cpu/ops.h"

namespace conclave {

// CacheOptions in native.ts.
struct CacheOptions {
  int64_t kv_blocks = 0;
  int block_size = 0;
};

void ValidateCacheOptions(const CacheOptions& cache);

// Throws kInvalidArgument unless the rows are consecutive positions of their sequences, every block
// that they need is in the table and in the cache, and no two sequences write to one block. `path`
// is put before the names of the fields.
void ValidateSequenceRows(const std::string& path, const SequenceRows& where,
                          const CacheOptions& cache);

// Memory that the slices of all layers share while they run, one at a time.
struct SliceScratch {
  Buffer<float> q, k, v, attended, gate_weights;
};

// Reads tensors for one owner, counting bytes.
class TensorLoader {
 public:
  TensorLoader(const WeightStore& store, const MatmulKernels& kernels, LoadMonitor& monitor)
      : store_(store), kernels_(kernels), monitor_(monitor) {}

  PackedMatrix Matrix(const TensorRef& tensor, const Rectangle& part);
  PackedMatrix Matrix(const TensorRef& tensor, const Rectangle& part, WeightsFormat format);
  std::vector<float> Vector(const TensorRef& tensor);
  std::vector<float> Vector(const TensorRef& tensor, Range part);
  // All elements as they are in the file.
  void Read(const TensorRef& tensor, void* output);

  const WeightStore& store() const { return store_; }

 private:
  const WeightStore& store_;
  const MatmulKernels& kernels_;
  LoadMonitor& monitor_;
};

// Bytes of a linear layer's weight and bias in the checkpoint.
uint64_t SourceBytes(const LinearSpec& linear);

// Heads of one layer with their cache.
class AttentionSlice {
 public:
  // Loads the weights. `output_bias`: this slice adds the output projection's bias (one slice of
  // each layer does).
  AttentionSlice(TensorLoader& loader, const AttentionSpec& spec, const Rope& rope,
                 const RankSlice& slice, const CacheOptions& cache, bool output_bias);

  // Takes the cache's memory, once, before the first Forward.
  void TakeCache();

  // output [rows, H] = this slice's part of attention(input [rows, H]); writes the rows' keys and
  // values into the cache.
  void Forward(Compute& compute, SliceScratch& scratch, const SequenceRows& where,
               const float* input, float* output);

  uint64_t weight_bytes() const;
  uint64_t cache_bytes() const { return cache_bytes_; }
  static uint64_t SourceBytes(const AttentionSpec& spec);

 private:
  void Normalize(Compute& compute, const std::vector<float>& weight, float epsilon, int64_t rows,
                 int heads, float* x) const;

  Rope rope_;
  AttentionParams params_;
  QkNorm qk_norm_;
  float clip_;
  PackedMatrix q_, k_, v_, o_;
  std::vector<float> q_bias_, k_bias_, v_bias_, o_bias_;  // empty: none
  std::vector<float> q_norm_, k_norm_;                    // empty: none
  float q_epsilon_ = 0, k_epsilon_ = 0;
  KvCacheShape cache_shape_;
  KvType cache_type_;
  uint64_t cache_bytes_;
  std::optional<KvCache> cache_;
};

// Part of the intermediate dimension of one layer's dense network or shared expert.
class DenseSlice {
 public:
  DenseSlice(TensorLoader& loader, const LayerSpec& spec, Range width);

  // output [rows, H] = this slice's part, times sigmoid of the shared expert's gate where there is
  // one.
  void Forward(Compute& compute, SliceScratch& scratch, const float* input, int64_t rows,
               int64_t hidden, float* output);

  uint64_t weight_bytes() const;
  static uint64_t SourceBytes(const LayerSpec& spec);

 private:
  FfnWeights weights_;
  PackedMatrix gate_;  // [1, H]; empty: none
};

// One layer of a tensor-parallel rank.
struct LayerSlice {
  LayerSlice(TensorLoader& loader, const ModelSpec& spec, int layer, const RankSlice& slice,
             const CacheOptions& cache, bool output_bias);

  AttentionSlice attention;
  std::optional<DenseSlice> dense;

  uint64_t weight_bytes() const {
    return attention.weight_bytes() + (dense ? dense->weight_bytes() : 0);
  }
  static uint64_t SourceBytes(const LayerSpec& spec);
};

// Takes the memory of the caches of all layers.
void TakeCaches(int threads, std::span<AttentionSlice* const> layers, LoadMonitor& monitor);

}  // namespace conclave
