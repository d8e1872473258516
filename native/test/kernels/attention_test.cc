// What only the CPU's attention says: refusals, and the bytes of its cache.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "conclave/base/error.h"
#include "kernels/cpu/ops.h"

namespace conclave {
namespace {

struct BadBatch {
  const char* name;
  std::vector<int32_t> positions;
  std::vector<int32_t> sequence_offsets;
  std::vector<int32_t> block_tables;
  std::vector<int32_t> block_offsets;
  const char* message;
};

TEST(PagedAttention, RefusesBatchesThatDoNotFitTheCache) {
  const std::vector<BadBatch> batches = {
      {"no offsets", {0}, {}, {0}, {}, "sequenceOffsets"},
      {"offsets short of the rows",
       {0, 1},
       {0, 1},
       {0},
       {0, 1},
       "sequenceOffsets: expected 0 first"},
      {"offsets that fall", {0, 1}, {0, 9, 2}, {0}, {0, 1, 1}, "sequenceOffsets[2]"},
      {"block offsets missing", {0}, {0, 1}, {0}, {0}, "blockOffsets"},
      {"block offsets past the table", {0}, {0, 1}, {0}, {0, 2}, "blockOffsets"},
      {"block offsets that fall", {0, 0}, {0, 1, 2}, {0, 1}, {0, 7, 2}, "blockOffsets[2]"},
      {"a negative position",
       {-1},
       {0, 1},
       {0},
       {0, 1},
       "positions[0]: expected 0 or more, got -1"},
      {"a gap", {0, 2}, {0, 2}, {0}, {0, 1}, "positions[1]"},
      {"too few blocks", {16}, {0, 1}, {0}, {0, 1}, "blockOffsets[1]"},
      {"a block outside",
       {0},
       {0, 1},
       {4},
       {0, 1},
       "blockTables[0]: expected a block of the cache, got 4"},
      {"a negative block", {20}, {0, 1}, {-3, 1}, {0, 2}, "blockTables[0]"},
  };
  ThreadPool pool(1);
  KvCache cache({4, 16, 1, 8}, KvType::kF32);
  const std::vector<float> x(64, 1.0f);
  std::vector<float> output(64);
  for (const BadBatch& b : batches) {
    try {
      PagedAttention(Isa::kPortable, pool, {.heads = 1, .kv_heads = 1, .head_dim = 8, .scale = 1},
                     {b.positions, b.sequence_offsets, b.block_tables, b.block_offsets}, x.data(),
                     x.data(), x.data(), nullptr, nullptr, cache, output.data());
      ADD_FAILURE() << "accepted " << b.name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_NE(std::string(error.what()).find(b.message), std::string::npos)
          << b.name << ": " << error.what();
    }
  }
}

TEST(KvCache, RefusesShapesItCannotHold) {
  EXPECT_THROW(KvCache({0, 16, 1, 8}, KvType::kF32), Error);
  EXPECT_THROW(KvCache({1, 0, 1, 8}, KvType::kF32), Error);
  EXPECT_THROW(KvCache({1, 16, 1, 0}, KvType::kF32), Error);
  try {
    KvCache({INT32_MAX, 4096, 4096, 1024}, KvType::kF32);
    ADD_FAILURE() << "accepted a cache above the address space";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
  }
}

TEST(KvCache, TakesWhatItsPositionsTakeWhateverTheBlockSize) {
  for (const int block_size : {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 1023, 1024}) {
    const size_t positions = 3u * static_cast<size_t>(block_size);
    EXPECT_EQ(KvCache({3, block_size, 2, 128}, KvType::kBF16).bytes(), positions * 2 * 256 * 2);
    EXPECT_EQ(KvCache({3, block_size, 2, 128}, KvType::kF32).bytes(), positions * 2 * 256 * 4);
    // Keys of 13 elements are padded to 14, values to 16.
    EXPECT_EQ(KvCache({3, block_size, 2, 13}, KvType::kBF16).bytes(),
              positions * 2 * (14 + 16) * 2);
    EXPECT_EQ(KvCache({3, block_size, 2, 13}, KvType::kF32).bytes(), positions * 2 * (13 + 16) * 4);
  }
}

TEST(KvCache, TakesTwoBytesAnElementInBf16) {
  EXPECT_EQ(KvCache({10, 16, 4, 128}, KvType::kBF16).bytes(), 10u * 16 * 4 * 128 * 2 * 2);
  EXPECT_EQ(KvCache({10, 16, 4, 128}, KvType::kF32).bytes(), 10u * 16 * 4 * 128 * 2 * 4);
}

}  // namespace
}  // namespace conclave
