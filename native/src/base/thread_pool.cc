// A call is open to any thread that joins it before its tasks run out; the caller waits only for
// those that joined. So a thread that sleeps or has lost its core delays nobody. A thread without
// work spins for kSpin, then sleeps.

#include "conclave/base/thread_pool.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "conclave/base/error.h"

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace conclave {
namespace {

constexpr auto kSpin = std::chrono::microseconds(50);

// `gate` holds the call's number above kOpen, whether it may be joined, and how many threads have
// joined.
constexpr uint64_t kJoined = 1;
constexpr uint64_t kOpen = uint64_t{1} << 16;
constexpr uint64_t kCall = uint64_t{1} << 17;
constexpr int kMaxThreads = 1 << 15;

void Relax() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Whether done() came true within kSpin.
template <typename Done>
bool SpinUntil(Done done) {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 16; ++i) {
      if (done()) return true;
      Relax();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return done();
}

}  // namespace

struct ThreadPool::Impl {
  using Body = std::function<void(int64_t, int)>;

  alignas(64) std::atomic<uint64_t> gate{0};
  alignas(64) std::atomic<int64_t> next{0};
  int64_t count = 0;
  const Body* body = nullptr;
  alignas(64) std::atomic<uint32_t> calls{0};  // What sleeping threads wait on.
  std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};
  std::atomic<bool> busy{false};
  std::mutex failure_mutex;
  std::exception_ptr failure;
  std::vector<std::thread> workers;

  void RunTasks(int thread) {
    try {
      for (;;) {
        const int64_t task = next.fetch_add(1, std::memory_order_relaxed);
        if (task >= count) return;
        (*body)(task, thread);
      }
    } catch (...) {
      next.store(count, std::memory_order_relaxed);
      const std::lock_guard lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
  }

  bool HasNewCall(uint64_t last_call) const {
    const uint64_t now = gate.load(std::memory_order_acquire);
    return ((now & kOpen) != 0 && now / kCall != last_call) || stop.load(std::memory_order_relaxed);
  }

  void WorkerLoop(int thread) {
    uint64_t last_call = 0;
    for (;;) {
      const uint32_t seen = calls.load(std::memory_order_seq_cst);
      if (!SpinUntil([&] { return HasNewCall(last_call); })) {
        sleepers.fetch_add(1, std::memory_order_seq_cst);
        calls.wait(seen, std::memory_order_seq_cst);
        sleepers.fetch_sub(1, std::memory_order_relaxed);
      }
      if (stop.load(std::memory_order_relaxed)) return;
      uint64_t now = gate.load(std::memory_order_acquire);
      while ((now & kOpen) != 0 && now / kCall != last_call) {
        if (!gate.compare_exchange_weak(now, now + kJoined, std::memory_order_acq_rel)) continue;
        last_call = now / kCall;
        RunTasks(thread);
        const uint64_t before = gate.fetch_sub(kJoined, std::memory_order_acq_rel);
        if ((before & kOpen) == 0 && (before & (kOpen - 1)) == kJoined) gate.notify_one();
        break;
      }
    }
  }

  void Wake() {
    calls.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers.load(std::memory_order_seq_cst) > 0) calls.notify_all();
  }

  void Stop() {
    stop.store(true);
    calls.fetch_add(1);
    calls.notify_all();
    for (std::thread& worker : workers) worker.join();
  }
};

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>()) {
  if (threads < 1 || threads > kMaxThreads) {
    throw Error(ErrorCode::kInvalidArgument, "threads: expected 1 to " +
                                                 std::to_string(kMaxThreads) + ", got " +
                                                 std::to_string(threads));
  }
  try {
    for (int thread = 1; thread < threads; ++thread) {
      impl_->workers.emplace_back([impl = impl_.get(), thread] { impl->WorkerLoop(thread); });
    }
  } catch (const std::exception& error) {
    const size_t started = impl_->workers.size() + 1;
    impl_->Stop();
    throw Error(ErrorCode::kOutOfMemory, "threads: only " + std::to_string(started) + " of " +
                                             std::to_string(threads) +
                                             " could be started: " + error.what());
  }
}

ThreadPool::~ThreadPool() { impl_->Stop(); }

int ThreadPool::threads() const { return static_cast<int>(impl_->workers.size()) + 1; }

void ThreadPool::ParallelFor(int64_t count,
                             const std::function<void(int64_t task, int thread)>& body) {
  if (count <= 0) return;
  Impl& impl = *impl_;
  if (impl.busy.exchange(true, std::memory_order_acquire)) {
    throw Error(ErrorCode::kInternal, "ThreadPool::ParallelFor: called while another call runs");
  }
  impl.count = count;
  impl.body = &body;
  impl.next.store(0, std::memory_order_relaxed);
  if (count > 1 && !impl.workers.empty()) {
    const uint64_t call = impl.gate.load(std::memory_order_relaxed) / kCall + 1;
    impl.gate.store(call * kCall | kOpen, std::memory_order_release);
    impl.Wake();
  }
  impl.RunTasks(0);

  const auto idle = [&] { return (impl.gate.load(std::memory_order_acquire) & (kOpen - 1)) == 0; };
  impl.gate.fetch_and(~kOpen, std::memory_order_acq_rel);
  if (!SpinUntil(idle)) {
    for (uint64_t now = impl.gate.load(); (now & (kOpen - 1)) != 0; now = impl.gate.load())
      impl.gate.wait(now);
  }
  const std::exception_ptr failure = std::exchange(impl.failure, nullptr);
  impl.busy.store(false, std::memory_order_release);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace conclave
