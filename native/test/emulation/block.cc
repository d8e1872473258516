#include "emulation/block.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#else
#define __tsan_acquire(address)
#define __tsan_release(address)
#endif

#include "emulation/shared_memory.h"

namespace emu {

thread_local Block* block = nullptr;
thread_local Thread* thread = nullptr;

Options& options() {
  static Options all;
  return all;
}

Statistics& statistics() {
  static Statistics all;
  return all;
}

void Die(const char* what, const char* detail) {
  const Dim3 at = block->index;
  std::fprintf(stderr, "emulation: block (%u,%u,%u) thread %d: %s%s\n", at.x, at.y, at.z,
               thread != nullptr ? thread->linear : -1, what, detail);
  std::abort();
}

uint64_t Random() {
  uint64_t& s = block->random;  // xorshift64*
  s ^= s >> 12;
  s ^= s << 25;
  s ^= s >> 27;
  return s * 2685821657736338717ull;
}

namespace {

void MakeReady(Thread* t) {
  t->state = Thread::State::kReady;
  block->ready[(block->ready_first + block->ready_count++) % kMaxThreads] = t;
}

Thread* TakeReady() {
  Thread*& first = block->ready[block->ready_first];
  const auto at = [](int i) -> Thread*& {
    return block->ready[(block->ready_first + i) % kMaxThreads];
  };
  const int count = block->ready_count;
  if (options().order == Options::Order::kRandom)
    std::swap(first, at(static_cast<int>(Random() % static_cast<uint64_t>(count))));
  if (options().order == Options::Order::kDescending) std::swap(first, at(count - 1));
  Thread* const taken = first;
  block->ready_first = (block->ready_first + 1) % kMaxThreads;
  --block->ready_count;
  return taken;
}

void Yield(bool ends = false) { thread->fiber.SwitchTo(block->scheduler, ends); }

void RunThread() {
  Fiber::Arrive(block->scheduler);
  (*block->body)();
  if (thread->copy_count > 0) Die("ends with asynchronous copies that it did not wait for");
  __tsan_release(&block->done);
  thread->state = Thread::State::kDone;
  Yield(true);
}

void Resume(Thread* next) {
  thread = next;
  if (!next->started) {
    next->started = true;
    next->fiber.Start(RunThread);
  }
  block->scheduler.SwitchTo(next->fiber);
  thread = nullptr;
  if (next->state == Thread::State::kDone) {
    next->fiber.Finish();
    --block->live;
  }
}

// Every thread that is left waits: at a barrier, or for lanes that will not come.
void ReleaseBarrier() {
  std::string where;
  for (int i = 0; i < block->count; ++i) {
    const Thread& t = block->threads[i];
    if (t.state != Thread::State::kDone)
      where.append(" ").append(std::to_string(i)).append(":").append(t.waits_at);
  }
  if (block->waiting < block->live) Die("deadlock;", where.c_str());
  block->waiting = 0;
  for (int i = 0; i < block->count; ++i) {
    if (block->threads[i].state == Thread::State::kBarrier) MakeReady(&block->threads[i]);
  }
}

void RunBlock() {
  block->ready_first = block->ready_count = block->waiting = 0;
  block->live = block->count;
  for (int i = 0; i < block->count; ++i) {
    Thread& t = block->threads[i];
    t.started = false;
    t.copy_count = t.group = 0;
    MakeReady(&t);
  }
  while (block->live > 0) {
    if (block->ready_count == 0) ReleaseBarrier();
    Resume(TakeReady());
  }
}

void Arrange(Dim3 grid, Dim3 dim) {
  block->grid = grid;
  block->dim = dim;
  block->count = static_cast<int>(dim.x * dim.y * dim.z);
  if (block->count < 1 || block->count > kMaxThreads) Die("a block of too many threads, or none");
  for (int i = 0; i < block->count; ++i) {
    Thread& t = block->threads[i];
    const auto u = static_cast<unsigned>(i);
    t.index = {u % dim.x, u / dim.x % dim.y, u / dim.x / dim.y};
    t.linear = i;
    t.lane = i % kWarpSize;
    t.warp = &block->warps[i / kWarpSize];
    t.warp->lanes[t.lane] = &t;
    t.warp->arrived = 0;
  }
}

}  // namespace

void Launch(Dim3 grid, Dim3 dim, size_t shared_bytes, const std::function<void()>& body) {
  static thread_local const auto reused = std::make_unique<Block>();
  block = reused.get();
  block->body = &body;
  block->random = options().seed * 0x9E3779B97F4A7C15ull | 1;
  Arrange(grid, dim);
  ++statistics().launches;
  for (unsigned i = 0; i < grid.x * grid.y * grid.z; ++i) {
    const SharedMemory shared(shared_bytes);
    block->shared = shared.data();
    block->shared_bytes = shared_bytes;
    block->index = {i % grid.x, i / grid.x % grid.y, i / grid.x / grid.y};
    RunBlock();
  }
  __tsan_acquire(&block->done);
  block = nullptr;
}

void Barrier() {
  Thread* const self = thread;
  __tsan_release(&block->sync);
  self->state = Thread::State::kBarrier;
  self->waits_at = "__syncthreads";
  ++block->waiting;
  Yield();
  __tsan_acquire(&block->sync);
}

void Collective(const char* operation, uint32_t mask, void* operands, void (*work)(void**)) {
  Thread* const self = thread;
  Warp& warp = *self->warp;
  if ((mask >> self->lane & 1) == 0) Die(operation, ": the mask lacks the calling lane");
  if (warp.arrived == 0) {
    warp.operation = operation;
    warp.mask = mask;
  } else if (warp.mask != mask || std::strcmp(warp.operation, operation) != 0) {
    Die(operation, ": other lanes of the warp are elsewhere");
  }
  warp.operands[self->lane] = operands;
  warp.arrived |= 1u << self->lane;
  if (warp.arrived != mask) {
    self->state = Thread::State::kCollective;
    self->waits_at = operation;
    Yield();
    return;
  }
  work(warp.operands);
  warp.arrived = 0;
  for (int lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1) != 0) MakeReady(warp.lanes[lane]);
  }
  Yield();  // The last lane goes on like the others: when its turn comes.
}

}  // namespace emu
