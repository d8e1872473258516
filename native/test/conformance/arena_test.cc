#include "conclave/backend/arena.h"

#include "conformance/harness.h"

namespace conclave {
namespace {

class ArenaTest : public ConformanceTest {};

TEST_P(ArenaTest, HandsOutMemoryThatDoesNotOverlap) {
  Arena arena(*device_);
  std::vector<Tensor> tensors;
  for (int i = 1; i < 40; ++i) tensors.push_back(arena.Rows(i, 40007));
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(tensors[i].address % 64, 0u);
    for (size_t j = 0; j < i; ++j) {
      const auto end = [](const Tensor& t) {
        return t.address + static_cast<uint64_t>(t.elements()) * sizeof(float);
      };
      EXPECT_TRUE(end(tensors[i]) <= tensors[j].address || end(tensors[j]) <= tensors[i].address);
    }
  }
}

TEST_P(ArenaTest, TakesBackWhatAScopeHandedOut) {
  Arena arena(*device_);
  arena.Rows(1, 100);
  uint64_t inner = 0;
  {
    const Arena::Scope scope(arena);
    inner = arena.Rows(1, 10).address;
    arena.Rows(1, 5'000'000);
  }
  EXPECT_EQ(arena.Rows(1, 10).address, inner);
}

TEST_P(ArenaTest, AllocatesNothingOnceItHasGrown) {
  Arena arena(*device_);
  const auto step = [&] {
    arena.Reset();
    std::vector<uint64_t> addresses;
    for (int i = 0; i < 5; ++i) addresses.push_back(arena.Rows(1, 400'000).address);
    return addresses;
  };
  step();
  const std::vector<uint64_t> grown = step();
  EXPECT_EQ(step(), grown);
  for (size_t i = 1; i < grown.size(); ++i) EXPECT_LT(grown[i] - grown[i - 1], 1'700'000u);
}

CONCLAVE_CONFORMANCE(ArenaTest);

}  // namespace
}  // namespace conclave
