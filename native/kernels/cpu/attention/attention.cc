// Paged attention: checks the batch, writes its keys and values into the cache, and cuts it into
// units (sequence, key/value head, rows) that threads take, the dearest first. A unit with more
// than its share of the work is cut further into its segments, whose results are merged in order
// afterwards: the same sums, whoever computes them.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "conclave/backend/host_backend.h"
#include "conclave/base/expect.h"
#include "conclave/base/exponential.h"
#include "kernels/cpu/attention/batch.h"
#include "kernels/cpu/attention/groups.h"
#include "kernels/cpu/attention/kernel.h"
#include "kernels/cpu/attention/plan.h"
#include "kernels/cpu/ops.h"

namespace conclave {
namespace {

constexpr float kLog2E = 1.44269504f;

// Memory that a thread keeps between calls.
std::vector<float>& ThreadScratch(int64_t floats) {
  thread_local std::vector<float> scratch;
  if (static_cast<int64_t>(scratch.size()) < floats) scratch.resize(static_cast<size_t>(floats));
  return scratch;
}

class AttentionRun {
 public:
  AttentionRun(const AttentionBatch& batch, const AttentionKernel& kernel, const uint8_t* cache,
               const float* q, const float* sinks, const KeySelection* selection, float* output)
      : batch_(batch),
        layout_(batch.layout),
        params_(batch.params),
        kernel_(kernel),
        cache_(cache),
        q_(q),
        sinks_(sinks),
        selection_(selection),
        output_(output) {}

  // All segments of a unit, up to its output.
  void RunUnit(const AttentionUnit& unit) const {
    const AttentionTile tile = TileOf(unit);
    const Scratch scratch = PrepareScratch(unit);
    Clear(scratch.total, VectorsOf(unit));
    for (int64_t s = unit.first_segment; s < unit.end_segment; ++s) {
      RunSegment(unit, tile, scratch, s, scratch.part);
      kernel_.merge(tile, scratch.part, scratch.total);
    }
    Finish(unit, scratch.total);
  }

  // One segment of a unit that is cut, to its place among `parts`.
  void RunPart(const AttentionUnit& unit, int64_t segment, float* parts) const {
    RunSegment(unit, TileOf(unit), PrepareScratch(unit), segment, PartOf(unit, segment, parts));
  }

  // What is left to do for a unit that is cut.
  void MergeParts(const AttentionUnit& unit, float* parts) const {
    const AttentionTile tile = TileOf(unit);
    const AttentionState total = StateAt(
        ThreadScratch(StateFloats(VectorsOf(unit), layout_.value_dims)).data(), VectorsOf(unit));
    Clear(total, VectorsOf(unit));
    for (int64_t s = unit.first_segment; s < unit.end_segment; ++s)
      kernel_.merge(tile, PartOf(unit, s, parts), total);
    Finish(unit, total);
  }

 private:
  struct Scratch {
    float* packed;  // [vectors, head_dim rounded up to even]
    float* scores;
    AttentionState part;
    AttentionState total;
  };

  int64_t VectorsOf(const AttentionUnit& unit) const { return int64_t{unit.rows} * batch_.group(); }
  int64_t PackedWidth() const { return (params_.head_dim + 1) / 2 * 2; }
  static AttentionState StateAt(float* memory, int64_t vectors) {
    return {memory, memory + vectors, memory + 2 * vectors};
  }
  AttentionState PartOf(const AttentionUnit& unit, int64_t segment, float* parts) const {
    const int64_t vectors = VectorsOf(unit);
    return StateAt(parts + unit.part +
                       (segment - unit.first_segment) * StateFloats(vectors, layout_.value_dims),
                   vectors);
  }
  // Number of query vector v of a unit among all rows' heads.
  int64_t VectorAt(const AttentionUnit& unit, int64_t v) const {
    const int group = batch_.group();
    return (unit.row + v / group) * params_.heads + int64_t{unit.kv_head} * group + v % group;
  }

  AttentionTile TileOf(const AttentionUnit& unit) const {
    return {.rows = unit.rows,
            .group = batch_.group(),
            .head_dim = params_.head_dim,
            .first_position = batch_.PositionOf(unit.row),
            .window = batch_.window(),
            .chunk = params_.chunk,
            .softcap = params_.softcap * kLog2E,
            .value_dims = layout_.value_dims,
            .values_inside = layout_.values_inside,
            .key_rows = layout_.key_rows,
            .whole_groups = layout_.whole_groups(),
            .selected = SelectedOf(unit),
            .selected_stride = selection_ != nullptr ? selection_->words.width : 0,
            .selected_words = selection_ != nullptr ? selection_->words_each() : 0};
  }

  // Words of the first row of a unit; null: it reads all positions.
  const int32_t* SelectedOf(const AttentionUnit& unit) const {
    if (selection_ == nullptr) return nullptr;
    const int selector = unit.kv_head / (params_.kv_heads / selection_->selectors);
    return HostPointer(selection_->words) + unit.row * selection_->words.width +
           selector * selection_->words_each();
  }

  // Whether some row of the tile reads one of the 16 positions.
  static bool Reads(const AttentionTile& tile, int64_t position) {
    if (tile.selected == nullptr) return true;
    for (int row = 0; row < tile.rows; ++row) {
      const int32_t* const words = tile.selected + row * tile.selected_stride;
      if (SelectedBits(words, tile.selected_words, position) != 0) return true;
    }
    return false;
  }

  // Memory for a unit, with its queries times scale * log2 e.
  Scratch PrepareScratch(const AttentionUnit& unit) const {
    const int64_t vectors = VectorsOf(unit);
    const int64_t state = StateFloats(vectors, layout_.value_dims);
    const int64_t scores = kMaxTileRows * kScoreStride;
    float* memory = ThreadScratch(scores + 2 * state + vectors * PackedWidth()).data();
    const Scratch scratch{.packed = memory + scores + 2 * state,
                          .scores = memory,
                          .part = StateAt(memory + scores, vectors),
                          .total = StateAt(memory + scores + state, vectors)};
    const float scale = params_.scale * kLog2E;
    for (int64_t v = 0; v < vectors; ++v) {
      const float* query = q_ + VectorAt(unit, v) * params_.head_dim;
      float* row = scratch.packed + v * PackedWidth();
      for (int d = 0; d < params_.head_dim; ++d) row[d] = query[d] * scale;
      if (PackedWidth() > params_.head_dim) row[params_.head_dim] = 0;
    }
    return scratch;
  }

  void Clear(const AttentionState& total, int64_t vectors) const {
    std::fill_n(total.max, vectors, -std::numeric_limits<float>::infinity());
    std::fill_n(total.sum, vectors, 0.0f);
    std::fill_n(total.out, vectors * layout_.value_dims, 0.0f);
  }

  void RunSegment(const AttentionUnit& unit, const AttentionTile& tile, const Scratch& scratch,
                  int64_t segment, const AttentionState& part) const {
    const int64_t end_all = layout_.GroupOf(tile.first_position + tile.rows - 1) + 1;
    const int64_t begin =
        std::max(segment * kSegmentGroups, layout_.GroupOf(batch_.FirstKey(tile.first_position)));
    const int64_t end = std::min((segment + 1) * kSegmentGroups, end_all);
    const int64_t ahead = std::min(end + kSegmentGroups, end_all);
    const int32_t* blocks = batch_.BlocksOf(unit.sequence);
    AttentionGroup groups[2 * kSegmentGroups];
    GroupCursor cursor(layout_, begin);
    for (int64_t i = 0; i < ahead - begin; ++i, cursor.Advance()) {
      const int64_t block = blocks[cursor.block()];
      const int size = layout_.PositionsIn(cursor.group());
      const uint8_t* keys = cache_ + layout_.GroupOffset(block, unit.kv_head, cursor.group());
      groups[i] = {.keys = keys,
                   .values = keys + layout_.KeyBytes(size),
                   .next_keys = nullptr,
                   .position = cursor.position(),
                   .size = size};
    }
    for (int64_t i = 0; i < end - begin; ++i) {
      groups[i].next_keys =
          i + kSegmentGroups < ahead - begin ? groups[i + kSegmentGroups].keys : groups[i].keys;
    }
    // What no row reads gives nothing, so that leaving it out changes no result.
    AttentionGroup* const last =
        std::remove_if(groups, groups + (end - begin),
                       [&](const AttentionGroup& group) { return !Reads(tile, group.position); });
    kernel_.segment(tile, scratch.packed, groups, static_cast<int>(last - groups), scratch.scores,
                    part);
  }

  // output = O / L, where a sink adds its probability to L.
  void Finish(const AttentionUnit& unit, const AttentionState& total) const {
    const int width = params_.value_width();
    for (int64_t v = 0; v < VectorsOf(unit); ++v) {
      const float* out = total.out + v * layout_.value_dims;
      float* row = output_ + VectorAt(unit, v) * width;
      float sum = total.sum[v];
      if (sinks_ != nullptr) {
        const int64_t head = int64_t{unit.kv_head} * batch_.group() + v % batch_.group();
        sum += Exp(sinks_[head] - total.max[v] / kLog2E);
      }
      for (int d = 0; d < width; ++d) row[d] = out[d] / sum;
    }
  }

  const AttentionBatch& batch_;
  const KvLayout& layout_;
  const AttentionParams& params_;
  const AttentionKernel& kernel_;
  const uint8_t* const cache_;
  const float* const q_;
  const float* const sinks_;
  const KeySelection* const selection_;
  float* const output_;
};

}  // namespace

void PagedAttention(Isa isa, ThreadPool& pool, const AttentionParams& params,
                    const SequenceRows& where, const float* q, const float* k, const float* v,
                    const float* sinks, const KeySelection* selection, KvCache& cache,
                    float* output) {
  const AttentionBatch batch{params, where, KvLayout(cache.shape(), cache.type())};
  const AttentionKernel& kernel = AttentionKernelFor(isa, batch.layout.bf16);
  CheckBatch(batch, cache.shape());

  if (k != nullptr) WriteAll(pool, batch, k, v, cache.data());

  thread_local AttentionPlan thread_plan;
  AttentionPlan& plan = thread_plan;  // The bodies below run on other threads.
  plan.Make(batch, pool.threads());
  const AttentionRun run(batch, kernel, cache.data(), q, sinks, selection, output);
  pool.ParallelFor(static_cast<int64_t>(plan.tasks.size()), [&](int64_t i, int) {
    const AttentionTask& task = plan.tasks[static_cast<size_t>(i)];
    const AttentionUnit& unit = plan.units[static_cast<size_t>(task.unit)];
    if (task.segment < 0) {
      run.RunUnit(unit);
    } else {
      run.RunPart(unit, task.segment, plan.parts.data());
    }
  });
  pool.ParallelFor(plan.cut_units, [&](int64_t i, int) {
    run.MergeParts(plan.units[static_cast<size_t>(i)], plan.parts.data());
  });
}

}  // namespace conclave
