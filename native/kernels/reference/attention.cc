#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/reference/backend.h"
#include "kernels/reference/cache.h"
#include "kernels/reference/matrix.h"
#include "kernels/reference/rows.h"

namespace conclave {

std::unique_ptr<PagedCache> ReferenceBackend::CreateCache(const KvCacheShape& shape, KvType type) {
  return std::make_unique<ReferenceCache>(shape, type);
}

size_t ReferenceBackend::CacheBytes(const KvCacheShape& shape, KvType) const {
  return static_cast<size_t>(shape.blocks) * static_cast<size_t>(shape.block_size) *
         static_cast<size_t>(shape.kv_heads) * ReferenceCache::Elements(shape) * sizeof(float);
}

void ReferenceBackend::ProjectHeads(const Tensor& x, std::span<const MatrixPtr> matrices,
                                    const Tensor& output) {
  const auto heads = static_cast<int64_t>(matrices.size());
  const int64_t width = x.width / heads;
  float* out = HostPointer(output);
  for (int64_t i = 0; i < x.rows * heads; ++i) {
    const auto& matrix =
        static_cast<const ReferenceMatrix&>(*matrices[static_cast<size_t>(i % heads)]);
    const float* const head = HostPointer(x) + i * width;
    const std::vector<float> y = matrix.Multiply(head);
    out = std::copy(y.begin(), y.end(), out);
    out = std::copy(head + matrix.cols(), head + width, out);
  }
}

void ReferenceBackend::Rotate(const Rope& rope, const StepRows& where, int head_dim, int first,
                              std::span<const Tensor> tensors) {
  const auto& positions = where.where().positions;
  for (const Tensor& x : tensors) {
    const int64_t heads = x.width / head_dim;
    for (int64_t i = 0; i < x.rows * heads; ++i) {
      float* const head = HostPointer(x) + i * head_dim;
      const std::vector<double> rotated = ReferenceRope(
          rope, positions[static_cast<size_t>(i / heads)], {head + first, head + head_dim});
      std::copy(rotated.begin(), rotated.end(), head + first);
    }
  }
}

void ReferenceBackend::Attend(const AttentionParams& params, const StepRows& rows, const Tensor& q,
                              const Tensor& k, const Tensor& v, const Vector* sinks,
                              PagedCache& paged, const Tensor& output,
                              const KeySelection* selection) {
  auto& cache = static_cast<ReferenceCache&>(paged);
  const SequenceRows& where = rows.where();
  const int dims = params.head_dim;
  const int value_dims = params.value_width();
  const int block_size = cache.shape().block_size;
  for (size_t s = 0; k.rows > 0 && s + 1 < where.sequence_offsets.size(); ++s) {
    for (int64_t row = where.sequence_offsets[s]; row < where.sequence_offsets[s + 1]; ++row) {
      const CachePlace at =
          PlaceOf(where, s, where.positions[static_cast<size_t>(row)], block_size);
      for (int head = 0; head < params.kv_heads; ++head) {
        const int64_t from = (row * params.kv_heads + head) * dims;
        const auto round = [&](float x) { return cache.Rounded(x); };
        std::transform(HostPointer(k) + from, HostPointer(k) + from + dims,
                       cache.Key(at.block, at.in_block, head), round);
        if (params.values_inside > 0) continue;
        const float* const value = HostPointer(v) + (row * params.kv_heads + head) * value_dims;
        std::transform(value, value + value_dims, cache.Value(at.block, at.in_block, head), round);
      }
    }
  }
  for (size_t s = 0; s + 1 < where.sequence_offsets.size(); ++s) {
    for (int64_t row = where.sequence_offsets[s]; row < where.sequence_offsets[s + 1]; ++row) {
      const int64_t position = where.positions[static_cast<size_t>(row)];
      int64_t first = 0;
      if (params.sliding_window > 0)
        first = std::max<int64_t>(0, position + 1 - params.sliding_window);
      if (params.chunk > 0) first = std::max(first, position / params.chunk * params.chunk);
      for (int head = 0; head < params.heads; ++head) {
        const int kv_head = head / (params.heads / params.kv_heads);
        std::vector<double> keys;
        std::vector<double> values;
        for (int64_t p = first; p <= position; ++p) {
          if (selection != nullptr && !IsSelected(*selection, row, kv_head, params.kv_heads, p))
            continue;
          const CachePlace at = PlaceOf(where, s, p, block_size);
          const float* const key = cache.Key(at.block, at.in_block, kv_head);
          const float* const value = cache.Value(at.block, at.in_block, kv_head);
          keys.insert(keys.end(), key, key + dims);
          values.insert(values.end(), value, value + value_dims);
        }
        const float* const query = HostPointer(q) + (row * params.heads + head) * dims;
        const double sink = sinks != nullptr ? double{HostPointer(*sinks)[head]}
                                             : -std::numeric_limits<double>::infinity();
        const std::vector<double> attended =
            ReferenceAttention({query, query + dims}, keys, values, params, sink);
        std::copy(attended.begin(), attended.end(),
                  HostPointer(output) + (row * params.heads + head) * value_dims);
      }
    }
  }
}

}  // namespace conclave
