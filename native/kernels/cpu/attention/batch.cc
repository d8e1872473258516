#include "kernels/cpu/attention/batch.h"

#include <algorithm>
#include <cstdint>

#include "conclave/base/expect.h"
#include "conclave/base/number_formats.h"
#include "kernels/cpu/attention/groups.h"
#include "kernels/cpu/machine/cpu_features.h"

namespace conclave {
namespace {

void CheckSequence(const AttentionBatch& batch, size_t sequence, const KvCacheShape& shape) {
  const SequenceRows& where = batch.where;
  const int64_t begin = where.sequence_offsets[sequence];
  const int64_t end = where.sequence_offsets[sequence + 1];
  const int64_t first = batch.PositionOf(begin);
  ExpectAt(first >= 0, "positions", begin, "0 or more", first);
  for (int64_t row = begin + 1; row < end; ++row) {
    ExpectAt(batch.PositionOf(row) == first + row - begin, "positions", row,
             "one more than the row before", batch.PositionOf(row));
  }
  const int64_t begin_block = batch.FirstKey(first) / shape.block_size;
  const int64_t end_block = (first + end - begin - 1) / shape.block_size + 1;
  const int64_t at = where.block_offsets[sequence];
  ExpectAt(end_block <= where.block_offsets[sequence + 1] - at, "blockOffsets",
           static_cast<int64_t>(sequence) + 1, "blocks for all positions of the sequence",
           where.block_offsets[sequence + 1]);
  for (int64_t i = begin_block; i < end_block; ++i) {
    const int64_t block = where.block_tables[static_cast<size_t>(at + i)];
    ExpectAt(block >= 0 && block < shape.blocks, "blockTables", at + i, "a block of the cache",
             block);
  }
}

void WriteKey(const KvLayout& layout, int lane, int lanes, const float* k, uint8_t* keys) {
  if (layout.bf16) {
    auto* key = reinterpret_cast<uint16_t*>(keys) + lane * 2;
    for (int d = 0; d < layout.head_dim; ++d) key[d / 2 * lanes * 2 + d % 2] = FloatToBf16(k[d]);
  } else {
    auto* key = reinterpret_cast<float*>(keys) + lane;
    for (int d = 0; d < layout.head_dim; ++d) key[d * lanes] = k[d];
  }
}

// Writes a position to lane `lane` of a group of `lanes`.
void WriteRow(const KvLayout& layout, int lane, int lanes, const float* k, const float* v,
              uint8_t* keys) {
  uint8_t* values = keys + layout.KeyBytes(lanes);
  WriteKey(layout, lane, lanes, k, keys);
  if (layout.bf16) {
    const bool unpaired = lane % 2 == 0 && lane == lanes - 1;
    const int step = unpaired ? 1 : 2;
    auto* value =
        reinterpret_cast<uint16_t*>(values) + int64_t{lane / 2} * layout.value_dims * 2 + lane % 2;
    for (int d = 0; d < layout.value_width; ++d) value[d * step] = FloatToBf16(v[d]);
  } else {
    auto* value = reinterpret_cast<float*>(values) + int64_t{lane} * layout.value_dims;
    std::copy_n(v, layout.value_width, value);
  }
}

// Rows whose keys and values one task writes.
constexpr int64_t kWriteRows = 64;

}  // namespace

const AttentionKernel& AttentionKernelFor(Isa isa, bool bf16) {
  [[maybe_unused]] static const CpuFeatures features = DetectCpuFeatures();
#if defined(__x86_64__)
  if (isa == Isa::kAvx512 && features.avx512) return Avx512AttentionKernel(bf16);
  if (isa == Isa::kAvx2 && features.avx2) return Avx2AttentionKernel(bf16);
#endif
  if (isa != Isa::kPortable) {
    throw Error(ErrorCode::kUnsupported, "attention: this CPU lacks the instruction set asked for");
  }
  return PortableAttentionKernel(bf16);
}

void CheckBatch(const AttentionBatch& batch, const KvCacheShape& shape) {
  const AttentionParams& params = batch.params;
  Expect(params.kv_heads == shape.kv_heads, "attention.kvHeads", "the cache's number of heads",
         params.kv_heads);
  Expect(params.head_dim == shape.head_dim, "attention.headDim", "the cache's head dimension",
         params.head_dim);
  Expect(params.values_inside == shape.values_inside, "attention.valuesInside",
         "where the cache has its values", params.values_inside);
  Expect(params.value_width() == shape.value_width(), "attention.valueDim",
         "the cache's width of a value", params.value_width());
  Expect(params.heads >= params.kv_heads && params.heads % params.kv_heads == 0, "attention.heads",
         "a multiple of the key/value heads", params.heads);
  Expect(params.sliding_window >= 0, "attention.slidingWindow", "0 or more", params.sliding_window);

  const auto& offsets = batch.where.sequence_offsets;
  const auto& block_offsets = batch.where.block_offsets;
  Expect(!offsets.empty() && offsets.front() == 0 && offsets.back() == batch.rows(),
         "sequenceOffsets", "0 first and the number of rows last",
         offsets.empty() ? -1 : offsets.back());
  Expect(block_offsets.size() == offsets.size(), "blockOffsets",
         "as many entries as sequenceOffsets", static_cast<int64_t>(block_offsets.size()));
  Expect(block_offsets.front() >= 0 &&
             block_offsets.back() <= static_cast<int64_t>(batch.where.block_tables.size()),
         "blockOffsets", "entries of blockTables", block_offsets.back());
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    ExpectAt(offsets[s] <= offsets[s + 1], "sequenceOffsets", static_cast<int64_t>(s) + 1,
             "ascending numbers", offsets[s + 1]);
    ExpectAt(block_offsets[s] <= block_offsets[s + 1], "blockOffsets", static_cast<int64_t>(s) + 1,
             "ascending numbers", block_offsets[s + 1]);
  }
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    if (offsets[s] < offsets[s + 1]) CheckSequence(batch, s, shape);
  }
}

void WriteKeysAndValues(const AttentionBatch& batch, int64_t begin, int64_t end, const float* k,
                        const float* v, uint8_t* cache) {
  const KvLayout& layout = batch.layout;
  const auto& offsets = batch.where.sequence_offsets;
  int64_t sequence = std::upper_bound(offsets.begin(), offsets.end(), begin) - offsets.begin() - 1;
  for (int64_t row = begin; row < end; ++row) {
    while (row >= offsets[static_cast<size_t>(sequence) + 1]) ++sequence;
    const int64_t position = batch.PositionOf(row);
    const int64_t block = batch.BlocksOf(sequence)[position / layout.block_size];
    const int in_block = static_cast<int>(position % layout.block_size);
    const int group = in_block / kGroupPositions;
    for (int head = 0; head < layout.kv_heads; ++head) {
      const int64_t from = (row * layout.kv_heads + head) * layout.head_dim;
      uint8_t* const keys = cache + layout.GroupOffset(block, head, group);
      const int lane = in_block % kGroupPositions;
      const int lanes = layout.PositionsIn(group);
      if (layout.values_inside > 0) {
        WriteKey(layout, lane, lanes, k + from, keys);
      } else {
        const int64_t value = (row * layout.kv_heads + head) * layout.value_width;
        WriteRow(layout, lane, lanes, k + from, v + value, keys);
      }
    }
  }
}

void WriteKeyAt(const KvLayout& layout, int64_t block, int in_block, const float* k,
                uint8_t* cache) {
  const int group = in_block / kGroupPositions;
  WriteKey(layout, in_block % kGroupPositions, layout.PositionsIn(group), k,
           cache + layout.GroupOffset(block, 0, group));
}

void WriteAll(ThreadPool& pool, const AttentionBatch& batch, const float* k, const float* v,
              uint8_t* cache) {
  pool.ParallelFor((batch.rows() + kWriteRows - 1) / kWriteRows, [&](int64_t task, int) {
    const int64_t end = std::min(batch.rows(), (task + 1) * kWriteRows);
    WriteKeysAndValues(batch, task * kWriteRows, end, k, v, cache);
  });
}

}  // namespace conclave
