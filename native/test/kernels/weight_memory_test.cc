#include "kernels/cpu/machine/weight_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "conclave/base/error.h"

namespace conclave {
namespace {

TEST(WeightMemory, GivesAlignedMemoryThatNothingElseOverwrites) {
  WeightMemory memory;
  std::mt19937 random(1);
  struct Piece {
    std::shared_ptr<uint8_t> data;
    size_t bytes;
    uint8_t fill;
  };
  std::vector<Piece> pieces;
  for (int step = 0; step < 2000; ++step) {
    if (pieces.size() > 40 || (!pieces.empty() && random() % 3 == 0)) {
      const size_t index = random() % pieces.size();
      const Piece& piece = pieces[index];
      for (size_t i = 0; i < piece.bytes; i += 997) ASSERT_EQ(piece.data.get()[i], piece.fill);
      pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(index));
    } else {
      const size_t bytes = 1 + random() % (size_t{3} << 20);
      const auto fill = static_cast<uint8_t>(random());
      pieces.push_back({memory.Allocate(bytes), bytes, fill});
      ASSERT_EQ(reinterpret_cast<uintptr_t>(pieces.back().data.get()) % 64, 0u);
      std::memset(pieces.back().data.get(), fill, bytes);
    }
  }
}

TEST(WeightMemory, ReusesWhatWasFreed) {
  WeightMemory memory;
  const std::shared_ptr<uint8_t> first = memory.Allocate(1 << 20);
  std::shared_ptr<uint8_t> second = memory.Allocate(1 << 20);
  const std::shared_ptr<uint8_t> third = memory.Allocate(1 << 20);
  const uint8_t* const freed = second.get();
  second.reset();
  EXPECT_EQ(memory.Allocate(1 << 20).get(), freed);
}

TEST(WeightMemory, OutlivesItsAllocator) {
  auto memory = std::make_unique<WeightMemory>();
  const std::shared_ptr<uint8_t> large = memory->Allocate(size_t{100} << 20);
  const std::shared_ptr<uint8_t> small = memory->Allocate(10);
  memory.reset();
  large.get()[(size_t{100} << 20) - 1] = 1;
  small.get()[9] = 2;
  EXPECT_EQ(large.get()[(size_t{100} << 20) - 1] + small.get()[9], 3);
}

TEST(WeightMemory, ServesThreadsAtOnce) {
  WeightMemory memory;
  std::vector<std::thread> threads;
  for (int id = 0; id < 3; ++id) {
    threads.emplace_back([&memory, id] {
      for (int i = 0; i < 300; ++i) {
        const std::shared_ptr<uint8_t> data = memory.Allocate(20000);
        std::memset(data.get(), id, 20000);
        EXPECT_EQ(data.get()[19999], id);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(WeightMemory, RefusesWhatTheSystemDoesNotHave) {
  WeightMemory memory;
  EXPECT_THROW(memory.Allocate(size_t{1} << 60), Error);
  EXPECT_NE(memory.Allocate(100), nullptr);
}

}  // namespace
}  // namespace conclave
