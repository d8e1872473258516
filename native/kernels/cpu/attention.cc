// Paged attention: checks the batch, writes its keys and values into the cache, and cuts it into tiles (sequence, key/value
// head, rows) that threads take, the dearest first. A tile with more than its share of the work is cut further into its
// segments, whose results are merged in order afterwards: the same sums, whoever computes them.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "conclave/ops.h"
#include "kernels/cpu/attention_kernel.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/kv_layout.h"
#include "kernels/cpu/number_formats.h"
#include "src/expect.h"

namespace conclave {
namespace {

// Query vectors of a tile: what shares a segment of keys and values while it is in the cache of a core.
constexpr int kTileVectors = 64;
// Rows whose keys and values one task writes.
constexpr int kWriteRows = 64;
// Most memory for the results of segments of tiles that are cut.
constexpr int64_t kMaxPartFloats = int64_t{8} << 20;

struct Unit {
  int64_t row;  // First row of the batch.
  int rows;
  int sequence;
  int kv_head;
  int64_t first_segment;
  int64_t end_segment;
  int64_t cost;
  int64_t part = -1;  // Offset of the results of the segments, -1: not cut.
};

struct Task {
  int unit;
  int64_t segment;  // -1: all.
};

// Memory that a thread keeps between calls.
struct Scratch {
  std::vector<Unit> units;
  std::vector<Task> tasks;
  std::vector<float> parts;
  std::vector<float> work;
};

Scratch& ThreadScratch() {
  thread_local Scratch scratch;
  return scratch;
}

const AttentionKernel& KernelFor(Isa isa, bool bf16) {
  static const CpuFeatures features = DetectCpuFeatures();
#if defined(__x86_64__)
  if (isa == Isa::kAvx512 && features.avx512) return Avx512AttentionKernel(bf16);
  if (isa == Isa::kAvx2 && features.avx2) return Avx2AttentionKernel(bf16);
#endif
  if (isa != Isa::kPortable) throw Error(ErrorCode::kUnsupported, "attention: this CPU lacks the instruction set asked for");
  return PortableAttentionKernel(bf16);
}

// Walks through the groups of a sequence without a division for each.
class GroupCursor {
 public:
  GroupCursor(const KvLayout& layout, int64_t group)
      : layout_(layout), block_(group / layout.groups_per_block), group_(static_cast<int>(group % layout.groups_per_block)) {}
  void Advance() {
    if (++group_ < layout_.groups_per_block) return;
    group_ = 0;
    ++block_;
  }
  // Entry of the block table, and group of the block.
  int64_t block() const { return block_; }
  int group() const { return group_; }
  int64_t position() const { return block_ * layout_.block_size + int64_t{group_} * kGroupPositions; }

 private:
  const KvLayout& layout_;
  int64_t block_;
  int group_;
};

class Attention {
 public:
  Attention(Isa isa, ThreadPool& pool, const AttentionParams& params, const SequenceRows& where, KvCache& cache)
      : pool_(pool),
        params_(params),
        where_(where),
        layout_(cache.shape(), cache.type()),
        kernel_(KernelFor(isa, layout_.bf16)),
        cache_(cache.data()) {
    Check(cache.shape());
  }

  void WriteRows(const float* k, const float* v) {
    const int64_t rows = static_cast<int64_t>(where_.positions.size());
    const int64_t tasks = (rows + kWriteRows - 1) / kWriteRows;
    pool_.ParallelFor(tasks, [&](int64_t task, int) {
      const int64_t begin = task * kWriteRows;
      const int64_t end = std::min(rows, begin + kWriteRows);
      const auto& offsets = where_.sequence_offsets;
      auto sequence = std::upper_bound(offsets.begin(), offsets.end(), begin) - offsets.begin() - 1;
      for (int64_t row = begin; row < end; ++row) {
        while (row >= offsets[static_cast<size_t>(sequence) + 1]) ++sequence;
        WriteRow(row, sequence, k, v);
      }
    });
  }

  void Run(const float* q, float* output) {
    Plan();
    const Scratch& plan = ThreadScratch();
    float* parts = ThreadScratch().parts.data();
    pool_.ParallelFor(static_cast<int64_t>(plan.tasks.size()), [&](int64_t i, int) {
      const Task& task = plan.tasks[static_cast<size_t>(i)];
      RunTask(plan.units[static_cast<size_t>(task.unit)], task.segment, q, parts, output);
    });
    const int64_t cut = std::partition_point(plan.units.begin(), plan.units.end(), [](const Unit& u) { return u.part >= 0; }) -
                        plan.units.begin();
    pool_.ParallelFor(cut, [&](int64_t i, int) { MergeUnit(plan.units[static_cast<size_t>(i)], parts, output); });
  }

 private:
  int group() const { return params_.heads / params_.kv_heads; }
  int64_t StateFloats(int64_t vectors) const { return vectors * (2 + layout_.value_dims); }
  static AttentionState StateAt(float* memory, int64_t vectors) {
    return {memory, memory + vectors, memory + 2 * vectors};
  }
  const int32_t* BlocksOf(int64_t sequence) const {
    return where_.block_tables.data() + where_.block_offsets[static_cast<size_t>(sequence)];
  }
  int64_t FirstKey(int64_t position) const {
    return params_.sliding_window > 0 ? std::max<int64_t>(0, position + 1 - params_.sliding_window) : 0;
  }

  void Check(const KvCacheShape& shape) const {
    Expect(params_.kv_heads == shape.kv_heads, "attention.kvHeads", "the cache's number of heads", params_.kv_heads);
    Expect(params_.head_dim == shape.head_dim, "attention.headDim", "the cache's head dimension", params_.head_dim);
    Expect(params_.heads >= params_.kv_heads && params_.heads % params_.kv_heads == 0, "attention.heads",
           "a multiple of the key/value heads", params_.heads);
    Expect(params_.sliding_window >= 0, "attention.slidingWindow", "0 or more", params_.sliding_window);
    const auto& offsets = where_.sequence_offsets;
    const auto& block_offsets = where_.block_offsets;
    const int64_t rows = static_cast<int64_t>(where_.positions.size());
    Expect(!offsets.empty() && offsets.front() == 0 && offsets.back() == rows, "sequenceOffsets",
           "0 first and the number of rows last", offsets.empty() ? -1 : offsets.back());
    Expect(block_offsets.size() == offsets.size(), "blockOffsets", "as many entries as sequenceOffsets",
           static_cast<int64_t>(block_offsets.size()));
    Expect(block_offsets.front() >= 0 && block_offsets.back() <= static_cast<int64_t>(where_.block_tables.size()),
           "blockOffsets", "entries of blockTables", block_offsets.back());
    for (size_t s = 0; s + 1 < offsets.size(); ++s) {
      ExpectAt(offsets[s] <= offsets[s + 1], "sequenceOffsets", static_cast<int64_t>(s) + 1, "ascending numbers",
               offsets[s + 1]);
      ExpectAt(block_offsets[s] <= block_offsets[s + 1], "blockOffsets", static_cast<int64_t>(s) + 1, "ascending numbers",
               block_offsets[s + 1]);
    }
    for (size_t s = 0; s + 1 < offsets.size(); ++s) {
      if (offsets[s] < offsets[s + 1]) CheckSequence(s, shape);
    }
  }

  void CheckSequence(size_t s, const KvCacheShape& shape) const {
    const int64_t begin = where_.sequence_offsets[s];
    const int64_t end = where_.sequence_offsets[s + 1];
    const int64_t first = where_.positions[static_cast<size_t>(begin)];
    ExpectAt(first >= 0, "positions", begin, "0 or more", first);
    for (int64_t row = begin + 1; row < end; ++row) {
      const int64_t position = where_.positions[static_cast<size_t>(row)];
      ExpectAt(position == first + row - begin, "positions", row, "one more than the row before", position);
    }
    const int64_t begin_block = FirstKey(first) / shape.block_size;
    const int64_t end_block = (first + end - begin - 1) / shape.block_size + 1;
    const int64_t at = where_.block_offsets[s];
    ExpectAt(end_block <= where_.block_offsets[s + 1] - at, "blockOffsets", static_cast<int64_t>(s) + 1,
             "blocks for all positions of the sequence", where_.block_offsets[s + 1]);
    for (int64_t i = begin_block; i < end_block; ++i) {
      const int64_t block = where_.block_tables[static_cast<size_t>(at + i)];
      ExpectAt(block >= 0 && block < shape.blocks, "blockTables", at + i, "a block of the cache", block);
    }
  }

  void WriteRow(int64_t row, int64_t sequence, const float* k, const float* v) const {
    const int64_t position = where_.positions[static_cast<size_t>(row)];
    const int in_block = static_cast<int>(position % layout_.block_size);
    const int group = in_block / kGroupPositions;
    const int lane = in_block % kGroupPositions;
    const int64_t block = BlocksOf(sequence)[position / layout_.block_size];
    const int head_dim = layout_.head_dim;
    for (int head = 0; head < layout_.kv_heads; ++head) {
      uint8_t* keys = cache_ + layout_.GroupOffset(block, head, group);
      uint8_t* values = keys + layout_.key_bytes;
      const int64_t from = (row * layout_.kv_heads + head) * head_dim;
      if (layout_.bf16) {
        auto* key = reinterpret_cast<uint16_t*>(keys) + lane * 2;
        auto* value = reinterpret_cast<uint16_t*>(values) + int64_t{lane / 2} * layout_.value_dims * 2 + lane % 2;
        for (int d = 0; d < head_dim; ++d) {
          key[d / 2 * kGroupPositions * 2 + d % 2] = Bf16FromFloat(k[from + d]);
          value[d * 2] = Bf16FromFloat(v[from + d]);
        }
      } else {
        auto* key = reinterpret_cast<float*>(keys) + lane;
        auto* value = reinterpret_cast<float*>(values) + int64_t{lane} * layout_.value_dims;
        for (int d = 0; d < head_dim; ++d) {
          key[d * kGroupPositions] = k[from + d];
          value[d] = v[from + d];
        }
      }
    }
  }

  void Plan() const {
    Scratch& plan = ThreadScratch();
    plan.units.clear();
    plan.tasks.clear();
    const int64_t tile_rows = std::max(1, kTileVectors / group());
    int64_t total = 0;
    for (size_t s = 0; s + 1 < where_.sequence_offsets.size(); ++s) {
      for (int64_t row = where_.sequence_offsets[s]; row < where_.sequence_offsets[s + 1]; row += tile_rows) {
        const int64_t rows = std::min<int64_t>(tile_rows, where_.sequence_offsets[s + 1] - row);
        const int64_t position = where_.positions[static_cast<size_t>(row)];
        const int64_t first_key = FirstKey(position);
        const int64_t end_key = position + rows;
        Unit unit{.row = row,
                  .rows = static_cast<int>(rows),
                  .sequence = static_cast<int>(s),
                  .kv_head = 0,
                  .first_segment = layout_.GroupOf(first_key) / kSegmentGroups,
                  .end_segment = layout_.GroupOf(end_key - 1) / kSegmentGroups + 1,
                  // Reading keys and values counts like some vectors that are multiplied by them.
                  .cost = (end_key - first_key) * (rows * group() + 4)};
        for (; unit.kv_head < params_.kv_heads; ++unit.kv_head) {
          plan.units.push_back(unit);
          total += unit.cost;
        }
      }
    }
    std::sort(plan.units.begin(), plan.units.end(), [](const Unit& a, const Unit& b) {
      return a.cost != b.cost ? a.cost > b.cost : a.row != b.row ? a.row < b.row : a.kv_head < b.kv_head;
    });
    // The dearest come first, so those that are cut stand in front.
    const int64_t share = total / (int64_t{2} * pool_.threads());
    int64_t parts = 0;
    bool cutting = pool_.threads() > 1;
    for (size_t i = 0; i < plan.units.size(); ++i) {
      Unit& unit = plan.units[i];
      const int64_t segments = unit.end_segment - unit.first_segment;
      const int64_t floats = segments * StateFloats(int64_t{unit.rows} * group());
      cutting = cutting && unit.cost > share && segments > 1 && parts + floats <= kMaxPartFloats;
      if (cutting) {
        unit.part = parts;
        parts += floats;
        for (int64_t s = unit.first_segment; s < unit.end_segment; ++s) plan.tasks.push_back({static_cast<int>(i), s});
      } else {
        plan.tasks.push_back({static_cast<int>(i), -1});
      }
    }
    if (static_cast<int64_t>(plan.parts.size()) < parts) plan.parts.resize(static_cast<size_t>(parts));
  }

  AttentionTile TileOf(const Unit& unit) const {
    return {.rows = unit.rows,
            .group = group(),
            .head_dim = params_.head_dim,
            .first_position = where_.positions[static_cast<size_t>(unit.row)],
            .window = params_.sliding_window,
            .value_dims = layout_.value_dims,
            .key_bytes = layout_.key_bytes};
  }

  // Offset of query vector v of a unit in q and output.
  int64_t OffsetOf(const Unit& unit, int64_t v) const {
    return ((unit.row + v / group()) * params_.heads + int64_t{unit.kv_head} * group() + v % group()) * params_.head_dim;
  }

  // Queries times scale * log2 e, rows of an even number of elements.
  void PackQueries(const Unit& unit, const float* q, float* packed) const {
    const int head_dim = params_.head_dim;
    const int padded = (head_dim + 1) / 2 * 2;
    const float scale = params_.scale * 1.44269504f;
    for (int64_t v = 0; v < int64_t{unit.rows} * group(); ++v) {
      const float* query = q + OffsetOf(unit, v);
      float* row = packed + v * padded;
      for (int d = 0; d < head_dim; ++d) row[d] = query[d] * scale;
      if (padded > head_dim) row[head_dim] = 0;
    }
  }

  void RunSegment(const Unit& unit, const AttentionTile& tile, const float* packed, int64_t segment, float* scores,
                  const AttentionState& part) const {
    const int64_t end_all = layout_.GroupOf(tile.first_position + tile.rows - 1) + 1;
    const int64_t begin = std::max(segment * kSegmentGroups, layout_.GroupOf(FirstKey(tile.first_position)));
    const int64_t end = std::min((segment + 1) * kSegmentGroups, end_all);
    AttentionGroup groups[2 * kSegmentGroups];
    const int64_t ahead = std::min(end + kSegmentGroups, end_all);
    GroupCursor cursor(layout_, begin);
    for (int64_t group = begin; group < ahead; ++group, cursor.Advance()) {
      const int64_t block = BlocksOf(unit.sequence)[cursor.block()];
      groups[group - begin] = {.keys = cache_ + layout_.GroupOffset(block, unit.kv_head, cursor.group()),
                               .next_keys = nullptr,
                               .position = cursor.position(),
                               .size = layout_.PositionsIn(cursor.group())};
    }
    for (int64_t group = begin; group < end; ++group) {
      AttentionGroup& g = groups[group - begin];
      g.next_keys = group + kSegmentGroups < ahead ? groups[group + kSegmentGroups - begin].keys : g.keys;
    }
    kernel_.segment(tile, packed, groups, static_cast<int>(end - begin), scores, part);
  }

  static void Clear(const AttentionState& total, int64_t vectors, int value_dims) {
    std::fill_n(total.max, vectors, -std::numeric_limits<float>::infinity());
    std::fill_n(total.sum, vectors, 0.0f);
    std::fill_n(total.out, vectors * value_dims, 0.0f);
  }

  // output = O / L.
  void Finish(const Unit& unit, const AttentionState& total, float* output) const {
    for (int64_t v = 0; v < int64_t{unit.rows} * group(); ++v) {
      const float* out = total.out + v * layout_.value_dims;
      float* row = output + OffsetOf(unit, v);
      for (int d = 0; d < params_.head_dim; ++d) row[d] = out[d] / total.sum[v];
    }
  }

  // All segments of a unit, or one of a unit that is cut.
  void RunTask(const Unit& unit, int64_t segment, const float* q, float* parts, float* output) const {
    const AttentionTile tile = TileOf(unit);
    const int64_t vectors = int64_t{unit.rows} * group();
    const int64_t packed_floats = vectors * ((params_.head_dim + 1) / 2 * 2);
    std::vector<float>& work = ThreadScratch().work;
    work.resize(static_cast<size_t>(packed_floats + kMaxTileRows * kScoreStride + 2 * StateFloats(vectors)));
    float* packed = work.data();
    float* scores = packed + packed_floats;
    float* states = scores + kMaxTileRows * kScoreStride;
    PackQueries(unit, q, packed);
    if (segment >= 0) {
      float* part = parts + unit.part + (segment - unit.first_segment) * StateFloats(vectors);
      RunSegment(unit, tile, packed, segment, scores, StateAt(part, vectors));
      return;
    }
    const AttentionState part = StateAt(states, vectors);
    const AttentionState total = StateAt(states + StateFloats(vectors), vectors);
    Clear(total, vectors, layout_.value_dims);
    for (int64_t s = unit.first_segment; s < unit.end_segment; ++s) {
      RunSegment(unit, tile, packed, s, scores, part);
      kernel_.merge(tile, part, total);
    }
    Finish(unit, total, output);
  }

  void MergeUnit(const Unit& unit, float* parts, float* output) const {
    const AttentionTile tile = TileOf(unit);
    const int64_t vectors = int64_t{unit.rows} * group();
    std::vector<float>& work = ThreadScratch().work;
    if (static_cast<int64_t>(work.size()) < StateFloats(vectors)) work.resize(static_cast<size_t>(StateFloats(vectors)));
    const AttentionState total = StateAt(work.data(), vectors);
    Clear(total, vectors, layout_.value_dims);
    for (int64_t s = unit.first_segment; s < unit.end_segment; ++s) {
      kernel_.merge(tile, StateAt(parts + unit.part + (s - unit.first_segment) * StateFloats(vectors), vectors), total);
    }
    Finish(unit, total, output);
  }

  ThreadPool& pool_;
  const AttentionParams& params_;
  const SequenceRows& where_;
  const KvLayout layout_;
  const AttentionKernel& kernel_;
  uint8_t* const cache_;
};

}  // namespace

void PagedAttention(Isa isa, ThreadPool& pool, const AttentionParams& params, const SequenceRows& where, const float* q,
                    const float* k, const float* v, KvCache& cache, float* output) {
  Attention attention(isa, pool, params, where, cache);
  attention.WriteRows(k, v);
  attention.Run(q, output);
}

}  // namespace conclave
