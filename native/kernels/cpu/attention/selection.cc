// Which positions rows read: scores of all positions by the index heads, then the best blocks.
// Tasks are segments of a row, so that one row of a long sequence keeps every thread busy.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "conclave/backend/host_backend.h"
#include "kernels/cpu/attention/batch.h"
#include "kernels/cpu/attention/groups.h"
#include "kernels/cpu/attention/kernel.h"
#include "kernels/cpu/ops.h"

namespace conclave {
namespace {

// Most scores that are kept at once.
constexpr int64_t kMostScores = int64_t{4} << 20;
constexpr float kWorst = -std::numeric_limits<float>::infinity();
constexpr float kBest = std::numeric_limits<float>::infinity();

// One selector of one row.
struct Selection {
  int64_t sequence;
  int64_t row;
  int selector;
  int64_t positions;  // that it chooses from
  float* scores;      // [positions rounded up to a group]
};

class SelectionRun {
 public:
  SelectionRun(const AttentionBatch& batch, const AttentionKernel& kernel, const uint8_t* cache,
               const SelectionParams& params, const float* q, const float* weights,
               const KeySelection& output)
      : batch_(batch),
        layout_(batch.layout),
        kernel_(kernel),
        cache_(cache),
        params_(params),
        q_(q),
        weights_(weights),
        output_(output) {}

  int64_t BlocksOf(const Selection& one) const {
    return (one.positions + params_.block_size - 1) / params_.block_size;
  }
  bool KeepsAll(const Selection& one) const { return BlocksOf(one) <= params_.kept; }
  int64_t SegmentsOf(const Selection& one) const {
    return layout_.GroupOf(one.positions - 1) / kSegmentGroups + 1;
  }

  void Score(const Selection& one, int64_t segment) const {
    const int heads = weights_ != nullptr ? params_.heads : 1;
    const int64_t width = (params_.head_dim + 1) / 2 * 2;
    thread_local std::vector<float> scratch;
    const int64_t needed = (kMaxTileRows + 1) * kScoreStride + heads * width;
    if (static_cast<int64_t>(scratch.size()) < needed) scratch.resize(static_cast<size_t>(needed));
    float* const sums = scratch.data() + kMaxTileRows * kScoreStride;
    float* const packed = sums + kScoreStride;
    for (int head = 0; head < heads; ++head) {
      const float* const query =
          q_ + (one.row * params_.heads + one.selector + head) * params_.head_dim;
      std::copy_n(query, params_.head_dim, packed + head * width);
      std::fill(packed + head * width + params_.head_dim, packed + (head + 1) * width, 0.0f);
    }
    const AttentionTile tile{.rows = 1,
                             .group = heads,
                             .head_dim = params_.head_dim,
                             .first_position = one.positions - 1,
                             .window = 0,
                             .chunk = 0,
                             .softcap = 0,
                             .value_dims = layout_.value_dims,
                             .values_inside = layout_.values_inside,
                             .key_rows = layout_.key_rows,
                             .whole_groups = layout_.whole_groups(),
                             .selected = nullptr,
                             .selected_stride = 0,
                             .selected_words = 0};
    AttentionGroup groups[kSegmentGroups];
    const int count = GroupsOf(one, segment, groups);
    const float* const weights = weights_ != nullptr ? weights_ + one.row * params_.heads : nullptr;
    kernel_.index(tile, packed, weights, groups, count, scratch.data(), sums);
    for (int g = 0; g < count; ++g) {
      const int64_t seen = std::min<int64_t>(groups[g].size, one.positions - groups[g].position);
      std::copy_n(sums + g * kGroupPositions, seen, one.scores + groups[g].position);
    }
  }

  void Choose(const Selection& one) const {
    const int64_t each = output_.words_each();
    int32_t* const words =
        HostPointer(output_.words) + one.row * output_.words.width + one.selector * each;
    std::fill_n(words, each, 0);
    if (KeepsAll(one)) return SetBits(words, 0, one.positions);
    thread_local std::vector<float> best;
    thread_local std::vector<float> order;
    const int64_t blocks = BlocksOf(one);
    best.assign(static_cast<size_t>(blocks), kWorst);
    for (int64_t p = 0; p < one.positions; ++p) {
      float& of_block = best[static_cast<size_t>(p / params_.block_size)];
      of_block = one.scores[p] > of_block ? one.scores[p] : of_block;
    }
    for (int64_t b = std::max<int64_t>(0, blocks - params_.latest); b < blocks; ++b)
      best[static_cast<size_t>(b)] = kBest;
    order = best;
    const auto last = order.begin() + (params_.kept - 1);
    std::nth_element(order.begin(), last, order.end(), std::greater<>());
    const float least = *last;
    int64_t equals = std::count(order.begin(), last + 1, least);
    for (int64_t b = 0; b < blocks; ++b) {
      const float score = best[static_cast<size_t>(b)];
      if (score < least || (score == least && equals-- <= 0)) continue;
      const int64_t first = b * params_.block_size;
      SetBits(words, first, std::min(first + params_.block_size, one.positions));
    }
  }

 private:
  static void SetBits(int32_t* words, int64_t first, int64_t end) {
    for (int64_t p = first; p < end; ++p) words[p / 32] |= static_cast<int32_t>(1u << (p % 32));
  }

  // The groups of a segment that hold positions to choose from.
  int GroupsOf(const Selection& one, int64_t segment, AttentionGroup* groups) const {
    const int64_t begin = segment * kSegmentGroups;
    const int64_t end = std::min(begin + kSegmentGroups, layout_.GroupOf(one.positions - 1) + 1);
    const int32_t* const blocks = batch_.BlocksOf(one.sequence);
    GroupCursor cursor(layout_, begin);
    for (int64_t i = 0; i < end - begin; ++i, cursor.Advance()) {
      const uint8_t* const keys =
          cache_ + layout_.GroupOffset(blocks[cursor.block()], 0, cursor.group());
      groups[i] = {.keys = keys,
                   .values = keys,
                   .next_keys = keys,
                   .position = cursor.position(),
                   .size = layout_.PositionsIn(cursor.group())};
    }
    return static_cast<int>(end - begin);
  }

  const AttentionBatch& batch_;
  const KvLayout& layout_;
  const AttentionKernel& kernel_;
  const uint8_t* const cache_;
  const SelectionParams& params_;
  const float* const q_;
  const float* const weights_;
  const KeySelection& output_;
};

// Every selector of every row, without places for scores.
std::vector<Selection> SelectionsOf(const AttentionBatch& batch, int selectors, int span) {
  std::vector<Selection> all;
  const auto& offsets = batch.where.sequence_offsets;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    for (int64_t row = offsets[s]; row < offsets[s + 1]; ++row) {
      for (int selector = 0; selector < selectors; ++selector) {
        const int64_t seen = (batch.PositionOf(row) + 1) / span;
        all.push_back({static_cast<int64_t>(s), row, selector, seen, nullptr});
      }
    }
  }
  return all;
}

}  // namespace

void SelectPositions(Isa isa, ThreadPool& pool, Arena& scratch, const SelectionParams& params,
                     const SequenceRows& where, const float* q, const float* k,
                     const float* weights, KvCache& cache, const KeySelection& output) {
  const AttentionParams keys{
      .heads = 1, .kv_heads = 1, .head_dim = params.head_dim, .values_inside = params.head_dim};
  const AttentionBatch batch{keys, where, KvLayout(cache.shape(), cache.type())};
  if (params.span == 1) {
    CheckBatch(batch, cache.shape());
    WriteAll(pool, batch, k, nullptr, cache.data());
  }
  const AttentionKernel& kernel = AttentionKernelFor(isa, batch.layout.bf16);
  const SelectionRun run(batch, kernel, cache.data(), params, q, weights, output);
  std::vector<Selection> all = SelectionsOf(batch, output.selectors, params.span);
  for (size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    // As many as their scores have room, and the tasks of each.
    int64_t floats = 0;
    std::vector<std::pair<size_t, int64_t>> tasks;
    for (; end < all.size() && (end == begin || floats < kMostScores); ++end) {
      if (run.KeepsAll(all[end])) continue;
      floats += all[end].positions;
      for (int64_t segment = 0; segment < run.SegmentsOf(all[end]); ++segment)
        tasks.emplace_back(end, segment);
    }
    const Arena::Scope scope(scratch);
    float* next = HostPointer(scratch.Rows(1, std::max<int64_t>(floats, 1)));
    for (size_t i = begin; i < end; ++i) {
      if (run.KeepsAll(all[i])) continue;
      all[i].scores = next;
      next += all[i].positions;
    }
    pool.ParallelFor(static_cast<int64_t>(tasks.size()), [&](int64_t i, int) {
      const auto& [one, segment] = tasks[static_cast<size_t>(i)];
      run.Score(all[one], segment);
    });
    pool.ParallelFor(static_cast<int64_t>(end - begin),
                     [&](int64_t i, int) { run.Choose(all[begin + static_cast<size_t>(i)]); });
  }
}

}  // namespace conclave
