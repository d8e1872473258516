#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/reference/backend.h"
#include "kernels/reference/cache.h"
#include "kernels/reference/rows.h"

namespace conclave {
namespace {

// What a selector finds of positions 0 to `position`.
std::vector<double> ScoresOf(const SelectionParams& params, const float* query,
                             const float* weights, const std::vector<const float*>& keys) {
  std::vector<double> scores;
  for (const float* const key : keys) {
    double score = 0;
    for (int head = 0; head < (weights != nullptr ? params.heads : 1); ++head) {
      const float* const q = query + head * params.head_dim;
      double product = 0;
      for (int d = 0; d < params.head_dim; ++d) product += double{q[d]} * double{key[d]};
      score += weights != nullptr ? double{weights[head]} * std::max(product, 0.0) : product;
    }
    scores.push_back(score);
  }
  return scores;
}

void SetBlock(int64_t block, const SelectionParams& params, int64_t positions, int32_t* words) {
  const int64_t first = block * params.block_size;
  for (int64_t p = first; p < std::min(first + params.block_size, positions); ++p)
    words[p / 32] |= static_cast<int32_t>(1u << (p % 32));
}

// Sets the bits of the best blocks of so many positions.
void KeepBest(const SelectionParams& params, const std::vector<double>& scores, int32_t* words) {
  const auto positions = static_cast<int64_t>(scores.size());
  const int64_t blocks = (positions - 1) / params.block_size + 1;
  std::vector<double> best(static_cast<size_t>(blocks), -std::numeric_limits<double>::infinity());
  for (int64_t p = 0; p < positions; ++p) {
    double& of_block = best[static_cast<size_t>(p / params.block_size)];
    of_block = std::max(of_block, scores[static_cast<size_t>(p)]);
  }
  for (int64_t block = std::max<int64_t>(0, blocks - params.latest); block < blocks; ++block)
    best[static_cast<size_t>(block)] = std::numeric_limits<double>::infinity();
  std::vector<int64_t> order(best.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return best[static_cast<size_t>(a)] > best[static_cast<size_t>(b)];
  });
  order.resize(std::min<size_t>(order.size(), static_cast<size_t>(params.kept)));
  for (const int64_t block : order) SetBlock(block, params, positions, words);
}

}  // namespace

void ReferenceBackend::SelectKeys(const SelectionParams& params, const StepRows& rows,
                                  const Tensor& q, const Tensor& k, const Tensor* weights,
                                  PagedCache& paged, const KeySelection& output) {
  auto& cache = static_cast<ReferenceCache&>(paged);
  const SequenceRows& where = rows.where();
  const int block_size = cache.shape().block_size;
  std::fill_n(HostPointer(output.words), output.words.elements(), 0);
  for (size_t s = 0; s + 1 < where.sequence_offsets.size(); ++s) {
    std::vector<const float*> keys;
    const auto key_of = [&](int64_t position) {
      const CachePlace at = PlaceOf(where, s, position, block_size);
      return cache.Key(at.block, at.in_block, 0);
    };
    for (int64_t row = where.sequence_offsets[s]; row < where.sequence_offsets[s + 1]; ++row) {
      const int64_t position = where.positions[static_cast<size_t>(row)];
      const int64_t seen = (position + 1) / params.span;
      if (seen == 0) continue;
      if (k.rows > 0) {
        const float* const key = HostPointer(k) + row * k.width;
        std::transform(key, key + k.width, key_of(position),
                       [&](float x) { return cache.Rounded(x); });
      }
      while (static_cast<int64_t>(keys.size()) < seen)
        keys.push_back(key_of(static_cast<int64_t>(keys.size())));
      for (int selector = 0; selector < output.selectors; ++selector) {
        const float* const query = HostPointer(q) + row * q.width + selector * params.head_dim;
        const float* const by =
            weights != nullptr ? HostPointer(*weights) + row * weights->width : nullptr;
        KeepBest(
            params, ScoresOf(params, query, by, keys),
            HostPointer(output.words) + (row * output.selectors + selector) * output.words_each());
      }
    }
  }
}

bool IsSelected(const KeySelection& selection, int64_t row, int kv_head, int kv_heads,
                int64_t position) {
  const int selector = kv_head / (kv_heads / selection.selectors);
  const int32_t* const words = HostPointer(selection.words) +
                               (row * selection.selectors + selector) * selection.words_each();
  return (static_cast<uint32_t>(words[position / 32]) >> (position % 32) & 1) != 0;
}

}  // namespace conclave
