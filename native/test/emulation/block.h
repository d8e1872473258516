#pragma once

// Runs CUDA kernels on the CPU: every thread of a block is a fiber, warps act together only where
// they ask for it, and what hardware leaves open (the order in which threads run between two
// barriers, the time at which an asynchronous copy lands) is drawn from a seed. Blocks run one by
// one.

#include <cstddef>
#include <cstdint>
#include <functional>

#include "emulation/fiber.h"

namespace emu {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
};

// How a launch fills in what hardware leaves open.
struct Options {
  enum class Order { kAscending, kDescending, kRandom } order = Order::kAscending;
  enum class Copies { kEarly, kLate, kRandom } copies = Copies::kRandom;
  uint64_t seed = 1;
};
Options& options();

// What launches did. Bank conflicts are extra passes over shared memory by ldmatrix.
struct Statistics {
  uint64_t launches = 0, multiply_accumulates = 0, bank_conflicts = 0;
};
Statistics& statistics();

constexpr int kWarpSize = 32;
constexpr int kMaxThreads = 1024;

// An asynchronous copy that has been issued but has not landed.
struct Copy {
  int group;
  void* target;
  const void* source;
  size_t bytes, zeros;
};

struct Warp;

// Plain members, so that TSan, which sees kernels but not the emulation, does not see them.
struct Thread {
  enum class State { kReady, kBarrier, kCollective, kDone };
  static constexpr int kMaxCopies = 128;

  Dim3 index;
  int linear = 0, lane = 0;
  Warp* warp = nullptr;
  State state = State::kReady;
  bool started = false;
  const char* waits_at = "";
  Copy copies[kMaxCopies];
  int copy_count = 0, group = 0;
  Fiber fiber;
};

// One operation of a warp at a time: lanes hand in a pointer to their operands, and the last one
// does the work of all.
struct Warp {
  void* operands[kWarpSize];
  uint32_t arrived, mask;
  const char* operation;
  Thread* lanes[kWarpSize];
  char sync;  // what TSan knows __syncwarp by
};

struct Block {
  Dim3 index, dim, grid;
  Thread threads[kMaxThreads];
  Warp warps[kMaxThreads / kWarpSize];
  Thread* ready[kMaxThreads];
  int count, ready_first, ready_count, waiting, live;
  unsigned char* shared;
  size_t shared_bytes;
  uint64_t random;
  char sync;  // what TSan knows __syncthreads by
  char done;  // likewise the end of a launch
  const std::function<void()>* body;
  Fiber scheduler;
};

// Of the host thread that runs a launch.
extern thread_local Block* block;
extern thread_local Thread* thread;

// Runs body() once for every thread of every block, which has so much shared memory, full of NaN.
void Launch(Dim3 grid, Dim3 dim, size_t shared_bytes, const std::function<void()>& body);

// Reports a misuse of CUDA by the running thread, and ends the process.
[[noreturn]] void Die(const char* what, const char* detail = "");

uint64_t Random();
void Barrier();
// Waits for all lanes of `mask`; the last one to come runs work(operands by lane).
void Collective(const char* operation, uint32_t mask, void* operands, void (*work)(void**));

}  // namespace emu
